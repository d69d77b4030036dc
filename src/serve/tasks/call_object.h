// One call written as a JSON object: its name and its arguments, as they are being written.
//
// The members may stand in any order; `arguments` and `parameters` mean the same. The arguments
// are an object, null or absent (no arguments), or a string that holds such an object, as some
// models write them. They are passed on as soon as the name is known, and where that is no tool's
// when the call is complete: only then is it told from other text.
#pragma once

#include <string>
#include <string_view>

#include "serve/tasks/json_scanner.h"
#include "serve/tasks/tool_calls_output.h"

namespace sis::tasks {

class CallObject {
 public:
  enum class Step : uint8_t { kMore, kDone, kFault };

  // `strict`: no marker says that this is a call. Members of other names are a fault, so that an
  // answer in JSON is told from a call early, and so are other names than the tools' without an
  // object of arguments; else these are passed over.
  CallObject(ToolCallOutput& output, bool strict) : output_(output), strict_(strict) {}

  // Takes the next byte, first the opening brace.
  Step push(char c);
  // Instead of a whole object: the name is known, what is pushed next are the arguments.
  void push_name(std::string_view name);

  bool begun() const { return begun_; }      // the call is reported
  bool is_tool() const { return is_tool_; }  // its name is that of a tool
  bool arguments_ended() const { return arguments_ended_; }

 private:
  enum class Member : uint8_t { kNone, kKey, kName, kArguments, kOther };
  bool begin_key_or_value(char c, JsonScanner::State before);
  bool key_ended();
  bool value_ended();
  void report();
  Step finish();

  ToolCallOutput& output_;
  const bool strict_;
  JsonScanner scanner_;
  Member inside_ = Member::kNone;  // what is being read
  Member next_ = Member::kNone;    // whose value comes next
  std::string text_;               // of the key, the name, or arguments that are no object
  std::string name_;
  std::string arguments_;  // not passed on yet
  bool as_object_ = false, only_arguments_ = false, is_tool_ = false;
  bool has_name_ = false, has_arguments_ = false, arguments_ended_ = false, begun_ = false;
};

}  // namespace sis::tasks
