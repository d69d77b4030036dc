// From the texts of a vocabulary to their ids: a flat hash table that keeps no texts itself.
//
// Who uses it passes text_of(id), where the texts live. Const after filling; any thread.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

#include "infer/text/tokenizer/hashing.h"

namespace sis::text::tok {

class StringIndex {
 public:
  // Room for `count` texts; at most half of the slots are taken.
  explicit StringIndex(size_t count = 0)
      : slots_(std::bit_ceil(count * 2 + 2)), mask_(slots_.size() - 1) {}

  template <class TextOf>
  int32_t find(std::string_view text, TextOf&& text_of) const {
    const uint64_t hash = hash_bytes(text);
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot slot = slots_[at];
      if (slot.id < 0) return -1;
      if (slot.tag == tag_of(hash) && text_of(slot.id) == text) return slot.id;
    }
  }

  // Puts `id` in; a text that is there already gets it instead. Returns the id it had, or -1.
  template <class TextOf>
  int32_t put(std::string_view text, int32_t id, TextOf&& text_of) {
    const uint64_t hash = hash_bytes(text);
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      Slot& slot = slots_[at];
      const int32_t before = slot.id;
      if (before >= 0 && (slot.tag != tag_of(hash) || text_of(before) != text)) continue;
      slot = {tag_of(hash), id};
      return before;
    }
  }

 private:
  struct Slot {
    uint32_t tag = 0;
    int32_t id = -1;
  };
  static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

  std::vector<Slot> slots_;
  size_t mask_;
};

}  // namespace sis::text::tok
