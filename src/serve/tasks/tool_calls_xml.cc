// Calls written as tags around plain values, as Qwen3-Coder does.
//
// A call is reported when its </function> has come. What a value means is the tool's schema's to
// say: text where it wants a string, JSON elsewhere, and text where that is no JSON.
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
  if (!schema.is_object() || !schema.contains("properties")) return false;
  const auto& properties = schema["properties"];
  if (!properties.is_object() || !properties.contains(name)) return false;
  return is_plain_text(properties[name]);
}

// The text between <function=name> and </function> as a JSON object; false when it is more than
// parameters.
bool parameters_to_json(std::string_view text, const std::string& schema_text, std::string& json) {
  const auto schema = nlohmann::json::parse(schema_text, nullptr, /*allow_exceptions=*/false);
  std::set<std::string, std::less<>> names;
  json = "{";
  for (text = trim(text); !text.empty(); text = trim(text)) {
    const size_t name_end = text.find('>'), value_end = text.find(kParameterEnd);
    if (!text.starts_with(kParameter) || value_end == std::string_view::npos ||
        name_end > value_end)
      return false;
    const std::string name(text.substr(kParameter.size(), name_end - kParameter.size()));
    std::string_view value = text.substr(name_end + 1, value_end - name_end - 1);
    text.remove_prefix(value_end + kParameterEnd.size());
    if (name.empty() || !names.insert(name).second) return false;
    // The lines of the tags are not the value's.
    if (value.starts_with('\n')) value.remove_prefix(1);
    if (value.ends_with('\n')) value.remove_suffix(1);
    if (names.size() > 1) json += ", ";
    append_json_string(json, name);
    json += ": ";
    if (!wants_string(schema, name) && is_json(value)) {
      JsonScanner scanner;
      scanner.push('[');
      for (const char c : trim(value)) {
        append_json_byte(json, c, scanner.state() == JsonScanner::State::kString);
        scanner.push(c);
      }
    } else {
      append_json_string(json, value);
    }
  }
  json += '}';
  return true;
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
    std::string text;
    before_.flush(text);
    output_.content(text);
    raw_.clear();  // the opening of a call
  }

  int32_t calls() const override { return output_.calls(); }
  bool done() const override { return output_.done(); }
  size_t held() const override { return raw_.size() + before_.held(); }

 private:
  enum class State { kText, kOpened, kName, kParameters };

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
        if (c != kFunction[begun]) return not_a_call(c);
        raw_ += c;
        if (begun + 1 == kFunction.size()) name_begins();
        return;
      }
      case State::kName:
        name_ = std::string_view(raw_).substr(body_);
        if (c == '>' ? name_.empty() : is_call_space(c) || name_.size() >= kNameMax)
          return not_a_call(c);
        raw_ += c;
        if (c == '>') {
          body_ = raw_.size();
          state_ = State::kParameters;
        }
        return;
      case State::kParameters:
        raw_ += c;
        if (c == '>' && std::string_view(raw_).substr(body_).ends_with(kFunctionEnd)) call_ended();
        return;
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
    tag_ = raw_.size();
    state_ = State::kOpened;
    if (found == 1) name_begins();
  }

  void name_begins() {
    body_ = raw_.size();
    state_ = State::kName;
  }

  void call_ended() {
    std::string json;
    const std::string_view text = std::string_view(raw_).substr(body_);
    const Tool* tool = output_.find(name_);  // of others every value is what it looks like
    state_ = State::kText;
    const bool sound = parameters_to_json(text.substr(0, text.size() - kFunctionEnd.size()),
                                          tool == nullptr ? "" : tool->parameters, json);
    if (sound) {
      output_.begin(name_);
      output_.arguments(json);
      output_.end();
    } else {
      output_.content(raw_);
    }
    before_.expect(sound);
    raw_.clear();
  }

  void not_a_call(char c) {
    output_.content(std::exchange(raw_, {}));
    before_.expect(false);
    state_ = State::kText;
    step_text(c);
  }

  ToolCallOutput output_;
  MarkerSearch before_;
  State state_ = State::kText;
  std::string name_;
  std::string raw_;  // from the white space before the call on
  size_t tag_ = 0;   // where <function= begins in it
  size_t body_ = 0;  // where the name, then the parameters begin
};

}  // namespace

std::unique_ptr<ToolCallParser> make_xml_calls(const ToolCallOptions& options,
                                               const std::vector<Tool>& tools) {
  return std::make_unique<XmlCalls>(options, tools);
}

}  // namespace sis::tasks
