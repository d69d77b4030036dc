// The decoder's row kernels on vectors.
#pragma once

#include "infer/kernels/cpu/row_vectors.h"

#include "infer/kernels/cpu/gemm_epilogue.h"
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

#if defined(__AVX512F__)
using ActVec = gemm::F32x16;
#elif defined(__AVX2__)
using ActVec = gemm::F32x8;
#else  // read for no CPU level; never compiled
using ActVec = gemm::F32x1;
#endif

template <class T>
SIS_INLINE void gate_some_rows(const GateArgs<T>& a, int64_t begin, int64_t end) {
  constexpr bool kLow = std::is_same_v<T, bf16>;
  constexpr int kTogether = 4;  // chains of dependent operations in step
  const int64_t cols = a.out.cols;
  for (int64_t r = begin; r < end; ++r) {
    const T* const x = a.x.data + r * a.x.stride;
    T* const out = a.out.data + r * a.out.stride;
    int64_t c = 0;
    for (; c + kTogether * kLanes <= cols; c += kTogether * kLanes) {
      ActVec v[kTogether];
#pragma GCC unroll 4
      for (int i = 0; i < kTogether; ++i) v[i] = {Simd::load(x + c + i * kLanes)};
      gemm::activate(v, a.act, kLow);
#pragma GCC unroll 4
      for (int i = 0; i < kTogether; ++i)
        Simd::store(out + c + i * kLanes, Simd::mul(v[i].v, Simd::load(x + cols + c + i * kLanes)));
    }
    each_vector(
        c, cols, [&](int64_t at, int n) __attribute__((always_inline)) {
          ActVec v[1] = {{load(x + at, n)}};
          gemm::activate(v, a.act, kLow);
          store(out + at, Simd::mul(v[0].v, load(x + cols + at, n)), n);
        });
  }
}

}  // namespace
}  // namespace sis::kernels
