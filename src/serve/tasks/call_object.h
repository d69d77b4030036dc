// One call written as a JSON object: its name and its arguments, as they are being written.
//
// The members may stand in any order; `arguments` and `parameters` mean the same. The arguments
// are an object, null or absent (no arguments), or a string that holds such an object, as some
// models write them. They are passed on as soon as the name is known.
#pragma once

#include <string>
#include <string_view>

#include "serve/tasks/json_scanner.h"
#include "serve/tasks/tool_calls_output.h"

namespace sis::tasks {

class CallObject {
 public:
  enum class Step : uint8_t { kMore, kDone, kFault };

  // `strict`: members of other names are a fault, so that an answer in JSON is told from a call
  // early; else they are passed over.
  CallObject(ToolCallOutput& output, bool strict) : output_(output), strict_(strict) {}

  // Takes the next byte, first the opening brace.
  Step push(char c);
  // Instead of a whole object: the name is known, what is pushed next are the arguments.
  void push_name(std::string_view name);

  bool begun() const { return begun_; }  // the call is reported
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
  bool as_object_ = false;
  bool has_name_ = false, has_arguments_ = false, arguments_ended_ = false, begun_ = false;
};

}  // namespace sis::tasks
