// Calls written as Python: a list of calls as the whole answer, or a block of code.
//
// A call is reported when its closing parenthesis has come, with all of its arguments.
#include <optional>
#include <utility>

#include "serve/tasks/python_literal.h"
#include "serve/tasks/tool_calls_output.h"

namespace sis::tasks {
namespace {

constexpr size_t kNameMax = 256;

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

// Finds the parenthesis that closes a call, byte by byte.
class ClosingParenthesis {
 public:
  // True at the one that closes what the caller opened.
  bool push(char c) {
    if (opening_ > 0) {
      if (c == quote_) {
        if (++opening_ == 3) {
          triple_ = true;
          opening_ = 0;
        }
        return false;
      }
      if (opening_ == 2) quote_ = 0;  // that was an empty string
      opening_ = 0;
    }
    if (quote_ != 0) {
      const bool ends = c == quote_ && !escaped_;
      ends_ = ends ? ends_ + 1 : 0;
      escaped_ = c == '\\' && !escaped_;
      if (ends_ == (triple_ ? 3 : 1)) quote_ = 0;
      return false;
    }
    if (c == '\'' || c == '"') {
      quote_ = c;
      opening_ = 1;
      triple_ = escaped_ = false;
      ends_ = 0;
    }
    if (c == '(' || c == '[' || c == '{') ++depth_;
    return (c == ')' || c == ']' || c == '}') && depth_-- == 0;
  }

 private:
  int64_t depth_ = 0;
  char quote_ = 0;   // of the string we are in
  int opening_ = 0;  // quotes at its beginning, while there may be more
  int ends_ = 0;     // quotes in a row that may end it
  bool triple_ = false, escaped_ = false;
};

class PythonCalls final : public ToolCallParser {
 public:
  PythonCalls(const ToolCallOptions& options, const std::vector<Tool>& tools)
      : block_(options.format == ToolFormat::kToolCode),
        required_(options.required),
        output_(options, tools),
        before_(block_ ? std::vector<std::string_view>{kToolCodeOpening}
                       : std::vector<std::string_view>{"<|python_start|>", "<|python_end|>"},
                options.required) {}

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
    // A list that nothing marks may be text as long as it has not called a tool.
    if (!certain_ && !required_ && state_ != State::kArguments) output_.content(raw_);
    raw_.clear();
  }

  int32_t calls() const override { return output_.calls(); }
  bool done() const override { return output_.done(); }
  size_t held() const override { return raw_.size() + before_.held(); }

 private:
  enum class State {
    kText,
    kOpened,     // before a call
    kName,       // in its name
    kArguments,  // behind its parenthesis
    kEnded,      // behind a call
    kClosed,     // behind the list or the block
  };

  void step(char c);
  void step_text(char c);
  void step_ended(char c);
  void call_ended();

  void open(std::string raw, bool list) {
    raw_ = std::move(raw);
    list_ = list;
    certain_ = !list;  // what is no list has a marker
    state_ = State::kOpened;
  }
  void not_a_call(char c) {
    output_.content(std::exchange(raw_, {}));
    before_.expect(false);
    at_start_ = false;
    state_ = State::kText;
    step_text(c);
  }

  const bool block_, required_;
  ToolCallOutput output_;
  MarkerSearch before_;
  State state_ = State::kText;
  bool at_start_ = true;  // nothing but white space so far
  bool list_ = false;     // inside [ ]
  bool certain_ = false;  // a marker or a call came before: whatever the name, this is a call
  std::string raw_;       // since the last call
  std::string name_, arguments_;
  ClosingParenthesis closing_;
};

void PythonCalls::step(char c) {
  switch (state_) {
    case State::kText:
      return step_text(c);
    case State::kOpened: {
      const bool list = c == '[' && !list_;
      const bool name = is_name(c) && (list_ || block_);
      if (!is_call_space(c) && !list && !name) return not_a_call(c);
      raw_ += c;
      if (list) list_ = true;
      if (name) {
        name_ = c;
        state_ = State::kName;
      }
      return;
    }
    case State::kName:
      if (c == '(' && (certain_ || output_.find(name_) != nullptr)) {
        raw_ += c;
        arguments_.clear();
        closing_ = {};
        state_ = State::kArguments;
        return;
      }
      if (!is_name(c) || name_.size() >= kNameMax) return not_a_call(c);
      raw_ += c;
      name_ += c;
      return;
    case State::kArguments:
      raw_ += c;
      if (closing_.push(c)) return call_ended();
      arguments_ += c;
      return;
    case State::kEnded:
      return step_ended(c);
    case State::kClosed:
      if (is_call_space(c)) {
        raw_ += c;
        return;
      }
      state_ = State::kText;
      for (const char again : std::exchange(raw_, {})) step_text(again);
      return step_text(c);
  }
}

void PythonCalls::step_text(char c) {
  if (at_start_ && !block_ && c == '[') {
    open(before_.take() + c, true);
    return;
  }
  std::string text;
  const int found = before_.push(c, text);
  if (!is_call_space(c)) at_start_ = false;
  output_.content(text);
  if (found == 0) return open(before_.take(), false);
  // The end of a list says nothing once there was one.
  const std::string end = found > 0 ? before_.take() : "";
  if (output_.calls() == 0) output_.content(end);
}

void PythonCalls::call_ended() {
  std::string json;
  if (raw_.back() != ')' || !python_arguments_to_json(arguments_, json)) {
    const char last = raw_.back();
    raw_.pop_back();
    return not_a_call(last);
  }
  output_.begin(name_);
  output_.arguments(json);
  output_.end();
  raw_.clear();
  certain_ = true;
  before_.expect(true);
  state_ = State::kEnded;
}

void PythonCalls::step_ended(char c) {
  constexpr std::string_view kFence = "```";
  const size_t fence = raw_.size() - std::min(raw_.size(), raw_.find('`'));  // bytes of it so far
  if (fence == 0 && is_call_space(c)) {
    raw_ += c;
  } else if (fence == 0 && list_ && (c == ',' || c == ']')) {
    raw_ += c;
    if (c == ',') {
      state_ = State::kOpened;
    } else {
      list_ = false;
      if (block_) return;
      raw_.clear();
      state_ = State::kClosed;
    }
  } else if (fence == 0 && !list_ && is_name(c)) {  // the next line of the block
    raw_ += c;
    name_ = c;
    state_ = State::kName;
  } else if (!list_ && c == kFence[fence]) {
    raw_ += c;
    if (fence + 1 < kFence.size()) return;
    raw_.clear();
    state_ = State::kClosed;
  } else {
    not_a_call(c);
  }
}

}  // namespace

std::unique_ptr<ToolCallParser> make_python_calls(const ToolCallOptions& options,
                                                  const std::vector<Tool>& tools) {
  return std::make_unique<PythonCalls>(options, tools);
}

}  // namespace sis::tasks
