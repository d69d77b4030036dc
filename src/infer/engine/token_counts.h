// Which tokens a sequence holds and how often it generated each: what penalties look at.
//
// A small hash table over ids; adding a token costs the same however long the sequence is. Grows by
// doubling, so hardly ever allocates. One thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sis::engine {

class TokenCounts {
 public:
  struct Entry {
    int32_t id = 0;
    int32_t generated = 0;  // 0: only in the prompt
  };

  void add_prompt(std::span<const int32_t> ids) {
    for (const int32_t id : ids) find_or_add(id);
  }
  void add_generated(int32_t id) { ++find_or_add(id).generated; }
  std::span<const Entry> entries() const { return entries_; }  // each id once, in order of addition

 private:
  Entry& find_or_add(int32_t id);
  size_t slot_of(int32_t id) const;  // where it is, or the empty slot where it belongs

  std::vector<Entry> entries_;
  std::vector<int32_t> slots_;  // index + 1 into entries_, 0: empty; a power of two, half empty
};

}  // namespace sis::engine
