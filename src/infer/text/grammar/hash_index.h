// Numbers by the hash of what they stand for, which somebody else keeps. One thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace sis::text::grammar {

inline uint64_t mix_hash(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 29);
}

class HashIndex {
 public:
  // The number among those with this hash that `is_same`, or else `next`, which is added.
  template <class IsSame>
  uint32_t find_or_add(uint64_t hash, uint32_t next, IsSame is_same) {
    if (used_ * 2 >= slots_.size()) grow();
    size_t at = hash & (slots_.size() - 1);
    for (; slots_[at].number != kFree; at = (at + 1) & (slots_.size() - 1))
      if (slots_[at].hash == hash && is_same(slots_[at].number)) return slots_[at].number;
    slots_[at] = {hash, next};
    ++used_;
    return next;
  }
  static constexpr size_t kBytesEach = 32;  // about

 private:
  static constexpr uint32_t kFree = UINT32_MAX;
  struct Slot {
    uint64_t hash = 0;
    uint32_t number = kFree;
  };

  void grow() {
    std::vector<Slot> old(std::max<size_t>(64, slots_.size() * 2));
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.number == kFree) continue;
      size_t at = slot.hash & (slots_.size() - 1);
      while (slots_[at].number != kFree) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t used_ = 0;
};

// A set of numbers that is emptied again and again.
class QuickSet {
 public:
  void clear() {
    used_ = 0;
    if (keys_.size() > kKeptMax) {
      keys_ = std::vector<uint64_t>(64);
      rounds_ = std::vector<uint32_t>(64);
    }
    if (++round_ == 0) {
      std::fill(rounds_.begin(), rounds_.end(), 0);
      round_ = 1;
    }
  }
  // False when it was there.
  bool add(uint64_t key) {
    if (used_ * 2 >= keys_.size()) grow();
    size_t at = mix_hash(0, key) & (keys_.size() - 1);
    for (; rounds_[at] == round_; at = (at + 1) & (keys_.size() - 1))
      if (keys_[at] == key) return false;
    keys_[at] = key;
    rounds_[at] = round_;
    ++used_;
    return true;
  }

 private:
  static constexpr size_t kKeptMax = 1 << 16;

  void grow() {
    std::vector<uint64_t> keys(keys_.size() * 2);
    std::vector<uint32_t> rounds(keys.size());
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (rounds_[i] != round_) continue;
      size_t at = mix_hash(0, keys_[i]) & (keys.size() - 1);
      while (rounds[at] == round_) at = (at + 1) & (keys.size() - 1);
      keys[at] = keys_[i];
      rounds[at] = round_;
    }
    keys_.swap(keys);
    rounds_.swap(rounds);
  }

  std::vector<uint64_t> keys_ = std::vector<uint64_t>(64);
  std::vector<uint32_t> rounds_ = std::vector<uint32_t>(64);  // in which a key was added
  uint32_t round_ = 1;
  size_t used_ = 0;
};

}  // namespace sis::text::grammar
