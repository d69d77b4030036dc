// What the ops on a paged cache check and compute first.
#pragma once

#include "base/check.h"
#include "infer/kernels/cached_attention.h"
#include "infer/ops/decoder_ops.h"

namespace sis::ops {

inline kernels::KvLayer kv_layer(const KvView& cache, int32_t layer) {
  const kernels::KvLayout& layout = cache.layout;
  SIS_CHECK(layer >= 0 && layer < layout.layers, "layer ", layer, " of ", layout.layers);
  SIS_CHECK(layout.kv_heads > 0 && layout.head_dim > 0 && layout.head_dim % 2 == 0 &&
                layout.head_dim <= kernels::kCachedHeadDimMax,
            "kv_heads=", layout.kv_heads, " head_dim=", layout.head_dim);
  return {.data = cache.data + layer * layout.layer_bytes(),
          .block_bytes = layout.block_bytes(),
          .head_bytes = layout.head_bytes(),
          .tile_bytes = layout.tile_bytes(),
          .kv_heads = layout.kv_heads,
          .head_dim = layout.head_dim,
          .dim_padded = layout.dim_padded(),
          .dtype = layout.dtype};
}

// T: of the activations. `rows` of the step's matrices.
template <class T>
void check_sequences(std::span<const KvRows> sequences, const kernels::KvLayer& cache,
                     int32_t heads, int64_t rows) {
  SIS_CHECK(cache.dtype == kDTypeOf<T> || cache.dtype == DType::kI8, "cache of ",
            dtype_name(cache.dtype), " for activations of ", dtype_name(kDTypeOf<T>));
  SIS_CHECK(heads > 0 && heads % cache.kv_heads == 0, "heads=", heads,
            " kv_heads=", cache.kv_heads);
  for (const KvRows& s : sequences)
    SIS_CHECK(s.blocks && s.past >= 0 && s.tokens > 0 && s.row >= 0 &&
                  int64_t{s.row} + s.tokens <= rows && s.past <= INT32_MAX - s.tokens,
              "sequence of past ", s.past, ", tokens ", s.tokens, ", row ", s.row, " of ", rows);
}

}  // namespace sis::ops
