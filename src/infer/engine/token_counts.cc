#include "infer/engine/token_counts.h"

namespace sis::engine {

size_t TokenCounts::slot_of(int32_t id) const {
  const size_t mask = slots_.size() - 1;
  size_t slot =
      (static_cast<uint64_t>(static_cast<uint32_t>(id)) * 0x9E3779B97F4A7C15u >> 32) & mask;
  while (slots_[slot] != 0 && entries_[static_cast<size_t>(slots_[slot]) - 1].id != id)
    slot = (slot + 1) & mask;
  return slot;
}

TokenCounts::Entry& TokenCounts::find_or_add(int32_t id) {
  if (entries_.size() * 2 >= slots_.size()) {
    slots_.assign(slots_.empty() ? 64 : slots_.size() * 2, 0);
    for (size_t i = 0; i < entries_.size(); ++i)
      slots_[slot_of(entries_[i].id)] = static_cast<int32_t>(i) + 1;
  }
  int32_t& slot = slots_[slot_of(id)];
  if (slot == 0) {
    entries_.push_back({.id = id});
    slot = static_cast<int32_t>(entries_.size());
  }
  return entries_[static_cast<size_t>(slot) - 1];
}

}  // namespace sis::engine
