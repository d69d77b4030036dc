// The decoder's row kernels on vectors.
#pragma once

#include "infer/kernels/cpu/row_vectors.h"

#include "infer/kernels/decoder_rows.h"

namespace sis::kernels {
namespace {

SIS_INLINE void rms_norm_rows(const RmsNormArgs& a, int64_t begin, int64_t end) {
  const int64_t cols = a.x.cols;
  const float share = 1.0f / static_cast<float>(cols);
  for (int64_t r = begin; r < end; ++r) {
    const float* const x = a.x.data + r * a.x.stride;
    float* const y = a.y.data ? a.y.data + r * a.y.stride : nullptr;
    bf16* const low = a.low.data ? a.low.data + r * a.low.stride : nullptr;
    FourSums squares;
    each_in_four(
        x, cols, [&](int i, Vec v, int) __attribute__((always_inline)) {
          squares.sum[i] = Simd::fma(v, v, squares.sum[i]);
        });
    const Vec factor = Simd::set1(1.0f / __builtin_sqrtf(squares.total() * share + a.eps));
    each_vector(
        0, cols, [&](int64_t c, int n) __attribute__((always_inline)) {
          Vec v = Simd::mul(Simd::mul(load(x + c, n), factor), load(a.scale + c, n));
          if (a.add) v = Simd::add(load(y + c, n), v);
          if (y) store(y + c, v, n);
          if (low) store(low + c, v, n);
        });
  }
}

SIS_INLINE void embed_some_tokens(const EmbedTokensArgs& a, int64_t begin, int64_t end) {
  const int64_t cols = a.y.cols, element_bytes = a.table.dtype == DType::kF32 ? 4 : 2;
  const Vec factor = Simd::set1(a.factor);
  for (int64_t t = begin; t < end; ++t) {
    const char* const row =
        static_cast<const char*>(a.table.data) + a.ids[t] * cols * element_bytes;
    float* const y = a.y.data + t * a.y.stride;
    const auto take = [&](const auto* x) __attribute__((always_inline)) {
      each_vector(
          0, cols, [&](int64_t c, int n) __attribute__((always_inline)) {
            store(y + c, Simd::mul(load(x + c, n), factor), n);
          });
    };
    if (a.table.dtype == DType::kF32)
      take(reinterpret_cast<const float*>(row));
    else if (a.table.dtype == DType::kBf16)
      take(reinterpret_cast<const bf16*>(row));
    else
      take(reinterpret_cast<const f16*>(row));
  }
}

}  // namespace
}  // namespace sis::kernels
