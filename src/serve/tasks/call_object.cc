#include "serve/tasks/call_object.h"

#include <utility>

namespace sis::tasks {
namespace {

using State = JsonScanner::State;

// `text` as a JSON object with its control characters escaped; empty when it is none.
std::string as_object(std::string_view text) {
  JsonScanner scanner;
  std::string out;
  for (const char c : text) {
    if (scanner.state() == State::kDone) {
      if (!is_call_space(c)) return {};
      continue;
    }
    if (scanner.depth() == 0 && c != '{' && !is_call_space(c)) return {};
    append_json_byte(out, c, scanner.state() == State::kString);
    if (scanner.push(c) == State::kFault) return {};
  }
  return scanner.state() == State::kDone ? out : std::string();
}

}  // namespace

CallObject::Step CallObject::push(char c) {
  const State before = scanner_.state();
  const int depth_before = scanner_.depth();
  const State after = scanner_.push(c);
  if (after == State::kFault) return Step::kFault;

  if (inside_ == Member::kNone && depth_before == 1 && !begin_key_or_value(c, before))
    return Step::kFault;
  if (inside_ != Member::kNone) {
    const bool number_over =
        before == State::kNumber && after != State::kNumber && depth_before == 1;
    if (inside_ == Member::kArguments && as_object_)
      append_json_byte(arguments_, c, before == State::kString);
    else if (inside_ != Member::kOther)
      text_ += c;
    if (inside_ == Member::kArguments && as_object_ && is_tool_) report();

    bool sound = true;
    if (inside_ == Member::kKey) {
      if (after == State::kColon) sound = key_ended();
    } else if (number_over || (scanner_.depth() == 1 && after == State::kCommaOrClose)) {
      sound = value_ended();
    }
    if (!sound) return Step::kFault;
  }
  const bool whole = after == State::kDone || (only_arguments_ && arguments_ended_);
  return whole ? finish() : Step::kMore;
}

void CallObject::push_name(std::string_view name) {
  for (const char c : std::string_view("{\"arguments\":")) push(c);
  name_ = name;
  only_arguments_ = has_name_ = true;
  is_tool_ = output_.find(name_) != nullptr;
}

// False when this value cannot be what its key says.
bool CallObject::begin_key_or_value(char c, State before) {
  if (c == '"' && (before == State::kKey || before == State::kKeyOrClose)) {
    inside_ = Member::kKey;
    text_.clear();
    return true;
  }
  if (before != State::kValue || is_call_space(c)) return true;
  inside_ = next_;
  text_.clear();
  if (inside_ == Member::kName) return c == '"';
  if (inside_ != Member::kArguments) return true;
  as_object_ = c == '{';
  return as_object_ || c == '"' || c == 'n';
}

bool CallObject::key_ended() {
  const std::string key = decode_json_string(text_);
  inside_ = Member::kNone;
  if (key == "name") {
    next_ = Member::kName;
    return !has_name_;
  }
  if (key == "arguments" || key == "parameters") {
    next_ = Member::kArguments;
    return !has_arguments_;
  }
  next_ = Member::kOther;
  return !strict_ || key == "id" || key == "type";
}

bool CallObject::value_ended() {
  const Member ended = std::exchange(inside_, Member::kNone);
  if (ended == Member::kName) {
    name_ = decode_json_string(text_);
    has_name_ = true;
    is_tool_ = output_.find(name_) != nullptr;
    if (name_.empty()) return false;
  } else if (ended == Member::kArguments) {
    has_arguments_ = arguments_ended_ = true;
    if (!as_object_) {
      const std::string inner = text_ == "null" ? "" : decode_json_string(text_);
      arguments_ = inner.empty() ? "{}" : as_object(inner);
      if (arguments_.empty()) return false;
    }
  }
  if (is_tool_ && has_arguments_) report();
  return true;
}

void CallObject::report() {
  if (!begun_) output_.begin(name_);
  begun_ = true;
  output_.arguments(std::exchange(arguments_, {}));
}

CallObject::Step CallObject::finish() {
  if (!has_name_ || (strict_ && !is_tool_ && !as_object_)) return Step::kFault;
  if (!has_arguments_) arguments_ = "{}";
  report();
  return Step::kDone;
}

}  // namespace sis::tasks
