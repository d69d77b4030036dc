// Where keys and values of a paged cache lie.
//
// The cache of a model is a pool of blocks of kKvBlockTokens positions. A block holds, layer by
// layer and key/value head by head, one K tile and one V tile in the order matrix instructions
// load:
//
//   bf16  K  [dim_padded / 32][2][16][16][2]   pair p of dimensions (2p, 2p+1), for 16 keys: half
//                                              h holds keys 16 h .. 16 h + 15
//         V  [dim_padded / 16][16][16][2]      pair p of keys (p, p + 16), for 16 dimensions: the
//                                              order in which two vectors of weights join cheapest
//   f32   K  [2][dim_padded][16]               half, dimension, key
//         V  [32][dim_padded]                  key, dimension
//   int8  as bf16 with one byte per element and pairs taken apart, first the sixteen first ones,
//         then the sixteen second ones ([2][16] for [16][2]): the order in which they widen
//         cheapest. Then f32 scales [32] of K and [32] of V: a token's head is quantised by itself,
//         x = q * scale
//
// dim_padded is head_dim rounded up to 32. Padding, and positions that no token of the sequence has
// written, may hold anything finite (blocks are zeroed once and later reused as they are); kernels
// never let them count, and write nothing that is not finite.
//
// Plain data only: included by files compiled for different CPUs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer/tensor/dtype.h"

namespace sis::kernels {

inline constexpr int32_t kKvBlockTokens = 32;

struct KvLayout {
  int32_t layers = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  DType dtype = DType::kBf16;  // kF32, kBf16 or kI8

  constexpr int32_t dim_padded() const { return (head_dim + 31) / 32 * 32; }
  constexpr int64_t tile_bytes() const {  // K or V of one head
    return int64_t{kKvBlockTokens} * dim_padded() * dtype_bytes(dtype);
  }
  constexpr int64_t head_bytes() const {  // K, V and, in int8, their scales
    return 2 * tile_bytes() + (dtype == DType::kI8 ? 2 * kKvBlockTokens * int64_t{4} : 0);
  }
  constexpr int64_t layer_bytes() const { return kv_heads * head_bytes(); }
  constexpr int64_t block_bytes() const { return layers * layer_bytes(); }
};

// One layer of the pool, as kernels see it: the K tile of head h in block b begins at data + b *
// block_bytes + h * head_bytes, its V tile tile_bytes further on, int8 scales behind that.
struct KvLayer {
  std::byte* data = nullptr;
  int64_t block_bytes = 0, head_bytes = 0, tile_bytes = 0;
  int32_t kv_heads = 0, head_dim = 0, dim_padded = 0;
  DType dtype = DType::kBf16;
};

}  // namespace sis::kernels
