// Takes apart what a thinking model says to itself and what it answers.
//
// The block `<think>...</think>` counts at the beginning of an answer only, so that an answer may
// speak about the tags; a prompt may have opened it already. Tags and the white space around them
// belong to neither part. Byte by byte: the parts do not depend on how the text is split. One
// thread at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sis::tasks {

inline constexpr std::string_view kThinkOpen = "<think>", kThinkClose = "</think>";

// Whether a chat template's text says that its model thinks.
bool template_thinks(std::string_view source);
// Whether a rendered prompt ends with an open think block, or with one that is closed, which is how
// templates say that there is nothing to think about.
bool prompt_opens_thinking(std::string_view prompt);
bool prompt_closes_thinking(std::string_view prompt);

class ReasoningSplit {
 public:
  enum class Start { kOff, kAnswer, kThinking };  // kOff: all text is content
  explicit ReasoningSplit(Start start);

  // Appends what is certain by now.
  void push(std::string_view text, std::string& content, std::string& reasoning);
  void flush(std::string& content, std::string& reasoning);

  bool thinking() const { return state_ == State::kThinking; }
  size_t held() const { return space_.size() + tag_.size(); }  // bytes pushed, in no part yet

 private:
  enum class State { kBefore, kThinking, kContent };
  void push_before(char c, std::string& content);
  void push_thinking(char c, std::string& reasoning);
  void hold(char c);
  void drop_held();

  State state_;
  std::string space_, tag_;  // held back: white space, then the beginning of a tag
  bool block_seen_ = false;  // white space before content belongs to the block
  bool block_empty_ = true;  // nothing but white space so far in the block
};

}  // namespace sis::tasks
