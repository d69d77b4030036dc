// Calls written as tags around plain values, as Qwen3-Coder does.
//
// A call is reported when its </function> has come. What a value means is the tool's schema's to
// say: text where it wants a string, JSON elsewhere, and text where that is no JSON.
//
// A value may hold tags itself. One that begins on a line of its own ends with a line of its own
// too, as the form has it; one that stands behind its tag ends at the next </parameter>. When the
// text is over and the line never came, a value ends at the next </parameter> all the same.
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/strings.h"
#include "serve/tasks/json_scanner.h"
#include "serve/tasks/parameter_schema.h"
#include "serve/tasks/python_literal.h"
#include "serve/tasks/tool_calls_output.h"

namespace sis::tasks {
namespace {

constexpr std::string_view kFunction = "<function=", kFunctionEnd = "</function>",
                           kParameter = "<parameter=", kParameterEnd = "</parameter>",
                           kCall = "<tool_call>", kCallEnd = "</tool_call>";
constexpr size_t kNameMax = 256;

bool is_json(std::string_view text) {
  JsonScanner scanner;
  scanner.push('[');  // so that a number has an end
  for (const char c : text) {
    scanner.push(c);
    if (scanner.depth() == 0) return false;
    if (scanner.depth() == 1 && scanner.state() == JsonScanner::State::kValue)
      return false;  // "1,"
  }
  return scanner.state() != JsonScanner::State::kValueOrClose && scanner.depth() == 1 &&
         scanner.push(']') == JsonScanner::State::kDone && !text.empty();
}

// Whether a parameter is text whatever it looks like.
bool wants_string(const nlohmann::json& schema, const std::string& name) {
  const nlohmann::json* listing = parameters_schema(schema);
  if (listing == nullptr || !listing->is_object() || !listing->contains("properties")) return false;
  const auto& properties = (*listing)["properties"];
  if (!properties.is_object() || !properties.contains(name)) return false;
  return is_plain_text(properties[name]);
}

// What stands between the tags of a parameter, as JSON.
void append_value(std::string& json, std::string_view value, bool wants_string) {
  // The lines of the tags are not the value's.
  if (value.starts_with('\n')) value.remove_prefix(1);
  if (value.ends_with('\n')) value.remove_suffix(1);
  if (wants_string || !is_json(value)) return append_json_string(json, value);
  JsonScanner scanner;
  scanner.push('[');
  for (const char c : trim(value)) {
    append_json_byte(json, c, scanner.state() == JsonScanner::State::kString);
    scanner.push(c);
  }
}

class XmlCalls final : public ToolCallParser {
 public:
  XmlCalls(const ToolCallOptions& options, const std::vector<Tool>& tools)
      : output_(options, tools), before_({kCall, kFunction, kCallEnd}, options.required) {}

  void push(std::string_view text, Delta& delta) override {
    output_.fill(delta);
    for (const char c : text) {
      if (output_.done()) return;
      step(c);
    }
  }

  void flush(Delta& delta) override {
    output_.fill(delta);
    if (output_.done()) return;
    if (state_ == State::kValue) {
      ends_bare_ = true;
      const std::string again = raw_.substr(tag_);
      raw_.resize(tag_);
      for (const char c : again) {
        step(c);
        if (output_.done()) return;
      }
    }
    std::string text;
    before_.flush(text);
    output_.content(text);
    raw_.clear();  // the opening of a call
  }

  int32_t calls() const override { return output_.calls(); }
  bool done() const override { return output_.done(); }
  size_t held() const override { return raw_.size() + before_.held(); }

 private:
  enum class State {
    kText,
    kOpened,   // before <function=
    kName,     // in the function's name
    kBetween,  // before <parameter= or </function>
    kKey,      // in a parameter's name
    kValue,
  };

  void step(char c) {
    switch (state_) {
      case State::kText:
        return step_text(c);
      case State::kOpened: {  // white space and <function= behind <tool_call>
        const size_t begun = raw_.size() - tag_;
        if (begun == 0 && is_call_space(c)) {
          raw_ += c;
          tag_ = raw_.size();
          return;
        }
        if (c != kFunction[begun]) return not_a_call({&c, 1});
        raw_ += c;
        if (begun + 1 == kFunction.size()) enter(State::kName);
        return;
      }
      case State::kName:
        name_ = std::string_view(raw_).substr(tag_);
        if (c == '>' ? name_.empty() : is_call_space(c) || name_.size() >= kNameMax)
          return not_a_call({&c, 1});
        raw_ += c;
        if (c == '>') {
          tool_ = output_.find(name_);
          json_ = "{";
          keys_.clear();
          enter(State::kBetween);
        }
        return;
      case State::kBetween:
        return step_between(c);
      case State::kKey: {
        const std::string key = raw_.substr(tag_);
        if (c == '>' && (key.empty() || !keys_.insert(key).second)) return not_a_call({&c, 1});
        raw_ += c;
        if (c != '>') return;
        if (keys_.size() > 1) json_ += ", ";
        append_json_string(json_, key);
        json_ += ": ";
        key_ = key;
        enter(State::kValue);
        return;
      }
      case State::kValue: {
        raw_ += c;
        if (c != '>') return;
        std::string_view value = std::string_view(raw_).substr(tag_);
        const bool ends_line = value.starts_with('\n') && !ends_bare_;
        if (!value.ends_with(ends_line ? kXmlValueEnd : kParameterEnd)) return;
        value.remove_suffix(kParameterEnd.size());
        append_value(json_, value, wants_string(schema(), key_));
        enter(State::kBetween);
        return;
      }
    }
  }

  void step_between(char c) {
    const std::string_view begun = std::string_view(raw_).substr(tag_);
    const auto goes_on = [&](std::string_view tag) {
      return tag.starts_with(begun) && tag[begun.size()] == c;
    };
    const bool key = goes_on(kParameter), end = goes_on(kFunctionEnd);
    if (begun.empty() && is_call_space(c)) {
      raw_ += c;
      enter(State::kBetween);
    } else if (key || end) {
      raw_ += c;
      const size_t size = raw_.size() - tag_;
      if (key && size == kParameter.size()) enter(State::kKey);
      if (end && size == kFunctionEnd.size()) call_ended();
    } else {
      // What looked like a tag may begin a call.
      const std::string again = raw_.substr(tag_) + c;
      raw_.resize(tag_);
      not_a_call(again);
    }
  }

  void step_text(char c) {
    std::string text;
    const int found = before_.push(c, text);
    output_.content(text);
    if (found < 0) return;
    if (found == 2) {  // behind a call it says nothing
      const std::string end = before_.take();
      if (!before_.expected()) output_.content(end);
      return;
    }
    raw_ = before_.take();
    enter(found == 1 ? State::kName : State::kOpened);
  }

  void enter(State state) {
    state_ = state;
    tag_ = raw_.size();
  }

  const nlohmann::json& schema() {
    if (std::exchange(schema_of_, tool_) != tool_)
      schema_ = tool_ == nullptr ? nlohmann::json()
                                 : nlohmann::json::parse(tool_->parameters, nullptr,
                                                         /*allow_exceptions=*/false);
    return schema_;
  }

  void call_ended() {
    output_.begin(name_);
    output_.arguments(json_ + '}');
    output_.end();
    before_.expect(true);
    state_ = State::kText;
    raw_.clear();
  }

  // What is read is content; `again` is not yet.
  void not_a_call(std::string_view again) {
    output_.content(std::exchange(raw_, {}));
    before_.expect(false);
    state_ = State::kText;
    for (const char c : again) step(c);
  }

  ToolCallOutput output_;
  MarkerSearch before_;
  State state_ = State::kText;
  bool ends_bare_ = false;  // </parameter> ends any value
  std::string name_;
  const Tool* tool_ = nullptr;               // null: of others every value is what it looks like
  std::string key_;                          // of the value
  std::set<std::string, std::less<>> keys_;  // so far
  std::string json_;                         // the arguments so far
  const Tool* schema_of_ = nullptr;
  nlohmann::json schema_;  // the parameters of schema_of_
  std::string raw_;        // from the white space before the call on
  size_t tag_ = 0;         // where what is being read begins in it: a tag, a name, a value
};

}  // namespace

std::unique_ptr<ToolCallParser> make_xml_calls(const ToolCallOptions& options,
                                               const std::vector<Tool>& tools) {
  return std::make_unique<XmlCalls>(options, tools);
}

}  // namespace sis::tasks
