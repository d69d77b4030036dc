// Stop strings in text that comes in pieces.
//
// The text ends where the first stop string to be complete begins; of several complete at the same
// byte the longest counts. So the cut does not depend on how the text is split. Text that may be
// the beginning of a stop string is held back. Linear time; one thread at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sis::tasks {

class StopText {
 public:
  // Whole UTF-8 strings; empty ones stop nothing.
  explicit StopText(const std::vector<std::string>& stops);

  // Appends to `out` what no stop string can take back any more. True once one is complete: what
  // comes from then on is dropped.
  bool push(std::string_view text, std::string& out);
  // While asleep, what is pushed passes and nothing is looked for in it.
  void sleep(bool asleep) { asleep_ = asleep; }
  // The end of the text, what was held back is no beginning of anything. Another text may follow.
  void flush(std::string& out);

  bool stopped() const { return stopped_; }
  size_t held() const { return held_.size() + dropped_; }  // bytes pushed that `out` has not got

 private:
  struct Pattern {
    std::string text;
    std::vector<size_t> border;  // of each prefix: its longest proper suffix that is a prefix too
    size_t matched = 0;          // bytes of `text` that the end of the input equals
  };
  std::vector<Pattern> patterns_;
  std::string held_;    // the longest end of the input that begins a stop string
  size_t dropped_ = 0;  // bytes of the stop string and behind it
  bool asleep_ = false, stopped_ = false;
};

}  // namespace sis::tasks
