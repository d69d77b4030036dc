#include "serve/tasks/reasoning.h"

#include "base/strings.h"

namespace sis::tasks {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

bool template_thinks(std::string_view source) {
  return source.find(kThinkOpen) != std::string_view::npos ||
         source.find(kThinkClose) != std::string_view::npos;
}

bool prompt_opens_thinking(std::string_view prompt) { return trim(prompt).ends_with(kThinkOpen); }
bool prompt_closes_thinking(std::string_view prompt) { return trim(prompt).ends_with(kThinkClose); }

ReasoningSplit::ReasoningSplit(Start start)
    : state_(start == Start::kOff        ? State::kContent
             : start == Start::kThinking ? State::kThinking
                                         : State::kBefore) {}

void ReasoningSplit::push(std::string_view text, std::string& content, std::string& reasoning) {
  for (size_t i = 0; i < text.size(); ++i) {
    switch (state_) {
      case State::kBefore:
        push_before(text[i], content);
        break;
      case State::kThinking:
        push_thinking(text[i], reasoning);
        break;
      case State::kContent:
        content += text.substr(i);
        return;
    }
  }
}

void ReasoningSplit::hold(char c) { (tag_.empty() && is_space(c) ? space_ : tag_) += c; }

void ReasoningSplit::drop_held() {
  space_.clear();
  tag_.clear();
}

void ReasoningSplit::push_before(char c, std::string& content) {
  hold(c);
  if (tag_ == kThinkOpen) {
    state_ = State::kThinking;
    drop_held();
  } else if (tag_ == kThinkClose) {  // of a block that never began
    block_seen_ = true;
    drop_held();
  } else if (!kThinkOpen.starts_with(tag_) && !kThinkClose.starts_with(tag_)) {
    std::string none;
    flush(content, none);
    state_ = State::kContent;
  }
}

void ReasoningSplit::push_thinking(char c, std::string& reasoning) {
  hold(c);
  if (tag_ == kThinkClose) {
    state_ = State::kBefore;
    block_seen_ = block_empty_ = true;
    drop_held();
  } else if (block_empty_ && tag_ == kThinkOpen) {  // once more after the prompt's
    drop_held();
  } else if (!kThinkClose.starts_with(tag_) && !(block_empty_ && kThinkOpen.starts_with(tag_))) {
    // The tags have their '<' at the front, so only the last byte may begin one.
    const bool again = c == '<' || is_space(c);
    if (again) tag_.pop_back();
    std::string none;
    flush(none, reasoning);
    if (again) hold(c);
  }
}

void ReasoningSplit::flush(std::string& content, std::string& reasoning) {
  if (state_ == State::kThinking) {
    if (!tag_.empty()) {
      if (!block_empty_) reasoning += space_;
      reasoning += tag_;
      block_empty_ = false;
    }
  } else {
    if (!block_seen_) content += space_;
    content += tag_;
  }
  drop_held();
}

}  // namespace sis::tasks
