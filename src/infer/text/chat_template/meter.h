// What one rendering may still cost: steps of work and bytes built.
//
// Both only go down. Everything that loops over or builds what a template decides the size of pays
// here first, so a hostile template ends with an error in bounded time and memory.
#pragma once

#include <cstdint>

#include "infer/text/chat_template/fault.h"

namespace sis::text::tmpl {

class Meter {
 public:
  Meter(uint64_t steps, uint64_t bytes) : steps_(steps), bytes_(bytes) {}

  void steps(uint64_t count = 1) {
    if (count > steps_) [[unlikely]]
      fail_limit("the template takes too many steps");
    steps_ -= count;
  }
  // Bytes of text; a value counts as kValueBytes.
  void bytes(uint64_t count) {
    if (count > bytes_) [[unlikely]]
      fail_limit("the template builds too much text");
    bytes_ -= count;
  }
  void values(uint64_t count) {
    steps(count);
    bytes(count * kValueBytes);
  }

  static constexpr uint64_t kValueBytes = 16;

 private:
  uint64_t steps_;
  uint64_t bytes_;
};

}  // namespace sis::text::tmpl
