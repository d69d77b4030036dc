// Calls written as JSON objects: tagged, in arrays after a marker, or bare.
#include <algorithm>
#include <optional>
#include <utility>

#include "serve/tasks/call_object.h"
#include "serve/tasks/tool_calls_output.h"

namespace sis::tasks {
namespace {

struct Form {
  std::string_view open, close;  // around a call or an array of calls; close may be empty
  bool bare = false;             // an answer that begins with { may be a call
  bool named = false;            // name[ARGS]{..} and name{..} stand beside objects
};

Form form_of(ToolFormat format) {
  switch (format) {
    case ToolFormat::kMistral:
    case ToolFormat::kMistralArgs:
      return {.open = "[TOOL_CALLS]", .named = true};
    case ToolFormat::kPhi:
      return {.open = "<|tool_call|>", .close = "<|/tool_call|>"};
    case ToolFormat::kLlama:
      return {.open = "<|python_tag|>", .bare = true};
    default:
      return {.open = "<tool_call>", .close = "</tool_call>"};
  }
}

class JsonCalls final : public ToolCallParser {
 public:
  JsonCalls(const ToolCallOptions& options, const std::vector<Tool>& tools)
      : form_(form_of(options.format)),
        required_(options.required),
        output_(options, tools),
        before_(
            form_.close.empty() ? std::vector{form_.open} : std::vector{form_.open, form_.close},
            options.required),
        close_({form_.close.empty() ? form_.open : form_.close}, /*expected=*/false) {}

  void push(std::string_view text, Delta& delta) override {
    output_.fill(delta);
    for (const char c : text) {
      if (output_.done()) return;
      step(c);
    }
  }
  void flush(Delta& delta) override;

  int32_t calls() const override { return output_.calls(); }
  bool done() const override { return output_.done(); }
  size_t held() const override { return raw_.size() + before_.held() + close_.held(); }

 private:
  enum class State {
    kText,     // content, or the beginning of a marker
    kBetween,  // white space after calls
    kOpened,   // after the marker, or after the comma in an array
    kName,     // name[ARGS]
    kObject,   // inside the call
    kElement,  // after a call in an array
    kClosing,  // after the last call before the closing marker
    kBroken,   // after a fault in arguments
  };
  void step(char c);
  void step_text(char c);
  void step_opened(char c);
  void step_name(char c);
  void step_object(char c);
  void step_closing(char c);
  void step_broken(char c);
  void open_object(std::string_view preset);
  void object_ended();
  void call_ended(State next);
  void not_a_call(char c);

  const Form form_;
  const bool required_;
  ToolCallOutput output_;
  MarkerSearch before_, close_;
  State state_ = State::kText;
  bool at_start_ = true;  // nothing but white space so far
  bool in_array_ = false;
  bool marked_ = false;  // a marker or another call stood before this one
  std::string raw_;      // since the last byte that is settled, while that may be given back
  std::string name_;
  std::optional<CallObject> call_;
};

void JsonCalls::step(char c) {
  switch (state_) {
    case State::kText:
      return step_text(c);
    case State::kBetween:
      // Whatever comes next decides what the white space was.
      if (is_call_space(c) || (form_.bare && c == ';')) {
        raw_ += c;
        return;
      }
      if (form_.bare && c == '{') {
        marked_ = true;
        return open_object("");
      }
      state_ = State::kText;
      for (const char again : std::exchange(raw_, {})) step_text(again);
      return step_text(c);
    case State::kOpened:
      return step_opened(c);
    case State::kName:
      return step_name(c);
    case State::kObject:
      return step_object(c);
    case State::kElement:
      if (!is_call_space(c) && c != ',' && c != ']') return not_a_call(c);
      raw_ += c;
      if (c == ',') state_ = State::kOpened;
      if (c == ']') {
        in_array_ = false;
        call_ended(form_.close.empty() ? State::kBetween : State::kClosing);
      }
      return;
    case State::kClosing:
      return step_closing(c);
    case State::kBroken:
      return step_broken(c);
  }
}

void JsonCalls::step_text(char c) {
  if (at_start_ && form_.bare && c == '{') {
    raw_ = before_.take();
    marked_ = false;
    return open_object("");
  }
  std::string text;
  const int found = before_.push(c, text);
  if (!is_call_space(c)) at_start_ = false;
  output_.content(text);
  if (found < 0) return;
  raw_ = before_.take();
  in_array_ = false;
  marked_ = true;
  state_ = State::kOpened;
  if (found == 0) return;
  // A closing marker: a second one after a call says nothing, any other is text.
  state_ = output_.calls() > 0 ? State::kBetween : State::kText;
  if (output_.calls() == 0) output_.content(raw_);
  raw_.clear();
}

void JsonCalls::step_opened(char c) {
  if (c == '{') return open_object("");
  const bool array = c == '[' && !in_array_;
  const bool name = form_.named && !in_array_ && !is_call_space(c) && c != '[';
  if (!is_call_space(c) && !array && !name) return not_a_call(c);
  raw_ += c;
  if (array) in_array_ = true;
  if (name) {
    name_ = c;
    state_ = State::kName;
  }
}

void JsonCalls::step_name(char c) {
  constexpr size_t kNameMax = 256;
  if (c == '{') {
    // What stands between name and arguments: nothing, [ARGS], or [CALL_ID]..[ARGS].
    const std::string_view name = std::string_view(name_).substr(0, name_.find('['));
    const std::string_view rest = std::string_view(name_).substr(name.size());
    const bool sound = rest.empty() ? output_.find(name) != nullptr
                                    : rest == "[ARGS]" || (rest.starts_with("[CALL_ID]") &&
                                                           rest.ends_with("[ARGS]"));
    if (!sound || name.empty()) return not_a_call(c);
    const std::string preset(name);
    return open_object(preset);
  }
  if (is_call_space(c) || name_.size() >= kNameMax) return not_a_call(c);
  raw_ += c;
  name_ += c;
}

// `preset`: the name, when it is known already and only the arguments follow.
void JsonCalls::open_object(std::string_view preset) {
  call_.emplace(output_, /*strict=*/!marked_);
  if (!preset.empty()) call_->push_name(preset);
  state_ = State::kObject;
  step_object('{');
}

void JsonCalls::step_object(char c) {
  const CallObject::Step result = call_->push(c);
  if (result == CallObject::Step::kFault) {
    if (!call_->begun()) return not_a_call(c);
    if (call_->arguments_ended()) {  // only the end of the object is missing
      object_ended();
      if (!output_.done()) step(c);
      return;
    }
    output_.arguments({&c, 1});
    state_ = State::kBroken;
    return;
  }
  if (call_->begun())
    raw_.clear();
  else
    raw_ += c;
  if (result == CallObject::Step::kDone) object_ended();
}

void JsonCalls::object_ended() {
  output_.end();
  call_ended(in_array_ ? State::kElement : form_.close.empty() ? State::kBetween : State::kClosing);
}

void JsonCalls::call_ended(State next) {
  raw_.clear();
  before_.expect(true);
  state_ = next;
}

void JsonCalls::step_closing(char c) {
  // White space, a brace too many, and the marker.
  if ((is_call_space(c) || c == '}') && raw_.find_first_not_of(" \t\r\n}") == std::string::npos) {
    raw_ += c;
    return;
  }
  const size_t begun = raw_.size() - std::min(raw_.size(), raw_.find(form_.close.front()));
  if (c != form_.close[begun]) return not_a_call(c);
  raw_ += c;
  if (begun + 1 == form_.close.size()) call_ended(State::kBetween);
}

void JsonCalls::step_broken(char c) {
  std::string text;
  const int found = close_.push(c, text);
  output_.arguments(text);
  if (found < 0) return;
  // Without a closing marker the next opening one ends the call.
  raw_ = close_.take();
  output_.end();
  in_array_ = false;
  marked_ = true;
  state_ = State::kOpened;
  if (!form_.close.empty()) call_ended(State::kBetween);
}

void JsonCalls::not_a_call(char c) {
  output_.content(std::exchange(raw_, {}));
  at_start_ = false;
  before_.expect(false);
  state_ = State::kText;
  step_text(c);
}

void JsonCalls::flush(Delta& delta) {
  output_.fill(delta);
  if (output_.done()) return;
  std::string text;
  switch (state_) {
    case State::kText:
      before_.flush(text);
      output_.content(text);
      break;
    case State::kObject:
      // Without a marker it may be an answer in JSON.
      if (!marked_ && !required_ && !call_->is_tool()) output_.content(raw_);
      break;
    case State::kBroken:
      close_.flush(text);
      output_.arguments(text);
      break;
    case State::kOpened:
    case State::kName:
    case State::kBetween:
    case State::kElement:
    case State::kClosing:
      break;  // white space, markers, and a call that has hardly begun
  }
  raw_.clear();
}

}  // namespace

std::unique_ptr<ToolCallParser> make_json_calls(const ToolCallOptions& options,
                                                const std::vector<Tool>& tools) {
  return std::make_unique<JsonCalls>(options, tools);
}

}  // namespace sis::tasks
