// Fixed pool of cache blocks on one device.
//
// Hands out blocks of ops::KvView one at a time and counts who refers to each, so that sequences
// with a common beginning share memory. What the bytes mean is the decoder's; which block is worth
// keeping when nobody refers to it is the prefix cache's; who gets one is the scheduler's. All
// memory is mapped at once, zeroed, and touched by its first use. Executor thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "infer/ops/decoder_ops.h"
#include "infer/tensor/buffer.h"

namespace sis::engine {

using kernels::kKvBlockTokens;

// Blocks that hold `tokens` positions.
constexpr int32_t blocks_for(int32_t tokens) {
  return (tokens + kKvBlockTokens - 1) / kKvBlockTokens;
}

class KvPool {
 public:
  static constexpr int32_t kNone = -1;

  KvPool(const kernels::KvLayout& layout, int32_t blocks);

  // A free block with one reference, or kNone.
  int32_t take();
  void add_reference(int32_t block);  // of a block in use or just not freed
  // True when that was the last reference: the block is then given to free() or kept for later.
  bool drop_reference(int32_t block);
  void free(int32_t block);  // without references

  void copy(int32_t from, int32_t to);

  int32_t blocks() const { return static_cast<int32_t>(references_.size()); }
  int32_t blocks_free() const { return static_cast<int32_t>(free_.size()); }
  int32_t references(int32_t block) const { return references_[static_cast<size_t>(block)]; }
  ops::KvView view() const { return {memory_.data(), layout_}; }

 private:
  const kernels::KvLayout layout_;
  Buffer memory_;
  std::vector<int32_t> references_;
  std::vector<int32_t> free_;  // the last one goes next: it is the warmest
};

}  // namespace sis::engine
