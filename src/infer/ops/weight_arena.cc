#include "infer/ops/weight_arena.h"

#include <cstring>
#include <utility>

namespace sis::ops {
namespace {

constexpr int64_t kChunkBytes = 64 << 20;
int64_t padded_of(int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

WeightArena::Part WeightArena::take(int64_t bytes) {
  const int64_t padded = padded_of(bytes);
  if (!chunk_ || padded > static_cast<int64_t>(chunk_->size()) - used_) {
    // What is larger than a quarter of a chunk gets one of its own, and the rest is used further.
    if (padded > kChunkBytes / 4) return alone(bytes);
    chunk_ = std::make_shared<Buffer>(static_cast<size_t>(kChunkBytes));
    used_ = 0;
  }
  uint8_t* data = chunk_->as<uint8_t>() + used_;
  used_ += padded;
  return {chunk_, data, bytes};
}

void WeightArena::give_back(Part part) {
  const int64_t padded = padded_of(part.bytes);
  if (part.chunk != chunk_ || part.data + padded != chunk_->as<uint8_t>() + used_) return;
  std::memset(part.data, 0, static_cast<size_t>(part.bytes));
  used_ -= padded;
}

WeightArena::Part WeightArena::alone(int64_t bytes) {
  auto chunk = std::make_shared<Buffer>(static_cast<size_t>(bytes));
  auto* data = chunk->as<uint8_t>();
  return {std::move(chunk), data, bytes};
}

}  // namespace sis::ops
