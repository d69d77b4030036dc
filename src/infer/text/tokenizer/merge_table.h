// The merges of a BPE model: which pairs of tokens become one, and which pair goes first.
//
// A flat hash table; ranks are the merges' places in the file. Const after filling; any thread.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "infer/text/tokenizer/hashing.h"

namespace sis::text::tok {

class MergeTable {
 public:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Merge {
    uint32_t rank = kNoRank;
    int32_t id = -1;  // what the two become
  };

  explicit MergeTable(size_t count = 0)
      : slots_(std::bit_ceil(count * 2 + 2)), mask_(slots_.size() - 1), made_(count, -1) {}

  // Rank kNoRank when the two do not merge.
  Merge find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t at = place_of(key);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.key == key) return slot.merge;
      if (slot.key == kEmpty) return {};
    }
  }

  // What the merge of this rank makes; ranks are those that were put in.
  int32_t made_by(uint32_t rank) const { return made_[rank]; }

  // Ranks are below the table's count. A pair that comes again takes its later place.
  void put(int32_t left, int32_t right, Merge merge) {
    made_[merge.rank] = merge.id;
    const uint64_t key = key_of(left, right);
    for (size_t at = place_of(key);; at = (at + 1) & mask_) {
      Slot& slot = slots_[at];
      if (slot.key != kEmpty && slot.key != key) continue;
      slot = {key, merge};
      return;
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;  // ids are not negative
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t place_of(uint64_t key) const { return mix_hash(key ^ kHashA, kHashB) & mask_; }

  std::vector<Slot> slots_;
  size_t mask_;
  std::vector<int32_t> made_;  // by rank
};

}  // namespace sis::text::tok
