// How attention kernels divide their scratch. Unnamed namespace: each variant's file gets its own
// copy.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer/kernels/attention.h"

namespace sis::kernels {
namespace {

// Sizes that follow from the head's width alone, so that a sequence is always cut the same way.
// Packed K and V of one key block are used by a whole group of query blocks, which pays for the
// packing; both are sized to stay in a 2 MiB L2 together with the group's sums.
struct AttentionLayout {
  int dim;        // head_dim rounded up to 32, the rest filled with zeros
  int key_block;  // keys packed at once
  int span;       // keys whose scores are held at once, so that they stay in the first-level cache
  int group;      // query blocks that share a packed key block
  int score_stride;   // f32 per row of scores; rows do not start in the same cache set
  int weight_stride;  // the same for weights in bf16, counted in dwords

  size_t keys, values, queries, sums, scores[2], weights[2], stats, bytes;  // offsets
};

[[gnu::always_inline]] inline AttentionLayout attention_layout(int head_dim) {
  AttentionLayout l;
  l.dim = (head_dim + 31) / 32 * 32;
  l.key_block = l.dim <= 64 ? 512 : l.dim <= 128 ? 256 : 128;
  l.span = 64;
  l.group = l.dim <= 64 ? 32 : l.dim <= 128 ? 16 : 8;
  l.score_stride = l.span;
  l.weight_stride = l.span / 2;
  size_t used = 0;
  const auto take = [&](size_t floats) __attribute__((always_inline)) {
    const size_t at = used;
    used += floats * sizeof(float) + 64;
    return at;
  };
  const size_t dim = static_cast<size_t>(l.dim),
               rows = static_cast<size_t>(l.group) * kAttentionQueries;
  l.keys = take(dim * static_cast<size_t>(l.key_block));
  l.values = take(dim * static_cast<size_t>(l.key_block));
  l.queries = take(dim * rows);
  l.sums = take(dim * rows);
  for (int i = 0; i < 2; ++i) {
    l.scores[i] = take(static_cast<size_t>(l.score_stride) * kAttentionQueries);
    l.weights[i] = take(static_cast<size_t>(l.score_stride) * kAttentionQueries);
  }
  l.stats = take(rows * (3 + 16) + kAttentionQueries * 16);
  l.bytes = used;
  return l;
}

}  // namespace
}  // namespace sis::kernels
