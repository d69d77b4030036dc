#include "infer/engine/kv_pool.h"

#include <cstring>

#include "base/check.h"

namespace sis::engine {

KvPool::KvPool(const kernels::KvLayout& layout, int32_t blocks)
    : layout_(layout),
      memory_(static_cast<size_t>(blocks) * static_cast<size_t>(layout.block_bytes())),
      references_(static_cast<size_t>(blocks), 0) {
  free_.reserve(static_cast<size_t>(blocks));
  for (int32_t block = blocks; block-- > 0;) free_.push_back(block);
}

int32_t KvPool::take() {
  if (free_.empty()) return kNone;
  const int32_t block = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(block)] = 1;
  return block;
}

void KvPool::add_reference(int32_t block) { ++references_[static_cast<size_t>(block)]; }

bool KvPool::drop_reference(int32_t block) {
  int32_t& count = references_[static_cast<size_t>(block)];
  SIS_CHECK(count > 0, "block=", block);
  return --count == 0;
}

void KvPool::free(int32_t block) {
  SIS_CHECK(references(block) == 0, "block=", block, " references=", references(block));
  free_.push_back(block);
}

void KvPool::copy(int32_t from, int32_t to) {
  const auto bytes = static_cast<size_t>(layout_.block_bytes());
  std::memcpy(memory_.data() + static_cast<size_t>(to) * bytes,
              memory_.data() + static_cast<size_t>(from) * bytes, bytes);
}

}  // namespace sis::engine
