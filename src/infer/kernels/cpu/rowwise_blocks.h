// The row-wise kernels on vectors. The vectors are those of whichever simd_*.h came first, AVX2
// where none did.
#pragma once

#include "infer/kernels/cpu/row_vectors.h"
#include "infer/kernels/rowwise.h"

namespace sis::kernels {
namespace {

SIS_INLINE void layer_norm_rows(const LayerNormArgs& a, int64_t begin, int64_t end) {
  const int64_t cols = a.x.cols;
  const float share = 1.0f / static_cast<float>(cols);
  for (int64_t r = begin; r < end; ++r) {
    const float* const x = a.x.data + r * a.x.stride;
    float* const y = a.y.data + r * a.y.stride;
    bf16* const low = a.low.data ? a.low.data + r * a.low.stride : nullptr;
    FourSums plain, off, squares;
    each_in_four(
        x, cols, [&](int i, Vec v, int) __attribute__((always_inline)) {
          plain.sum[i] = Simd::add(plain.sum[i], v);
        });
    // Sums around a first mean give its rounding error as well; without that a row of equal values,
    // where only eps is left under the root, would come out far from beta.
    const float guess = plain.total() * share;
    const Vec around = Simd::set1(guess);
    each_in_four(
        x, cols, [&](int i, Vec v, int n) __attribute__((always_inline)) {
          Vec d = Simd::sub(v, around);
          if (n < kLanes) d = Simd::keep_n(d, n, Simd::zero());
          off.sum[i] = Simd::add(off.sum[i], d);
          squares.sum[i] = Simd::fma(d, d, squares.sum[i]);
        });
    const float error = off.total() * share;
    const Vec center = Simd::set1(guess + error);
    const float spread = squares.total() * share - error * error;
    const float variance = spread > 0 ? spread : 0;
    const Vec factor = Simd::set1(1.0f / __builtin_sqrtf(variance + a.eps));
    each_vector(
        0, cols, [&](int64_t c, int n) __attribute__((always_inline)) {
          const Vec unit = Simd::mul(Simd::sub(load(x + c, n), center), factor);
          const Vec v = Simd::fma(unit, load(a.gamma + c, n), load(a.beta + c, n));
          store(y + c, v, n);
          if (low) store(low + c, v, n);
        });
  }
}

// y = row (kAdd: y + row), for whatever type the table has.
template <bool kAdd>
SIS_INLINE void take_row(const WeightView& table, int64_t row, int64_t cols, float* y) {
  const auto take = [&](const auto* x) __attribute__((always_inline)) {
    each_vector(
        0, cols, [&](int64_t c, int n) __attribute__((always_inline)) {
          Vec v = load(x + c, n);
          if constexpr (kAdd) v = Simd::add(load(y + c, n), v);
          store(y + c, v, n);
        });
  };
  const char* const data = static_cast<const char*>(table.data);
  if (table.dtype == DType::kF32)
    take(reinterpret_cast<const float*>(data + row * cols * 4));
  else if (table.dtype == DType::kBf16)
    take(reinterpret_cast<const bf16*>(data + row * cols * 2));
  else
    take(reinterpret_cast<const f16*>(data + row * cols * 2));
}

SIS_INLINE void embed_some_rows(const EmbedRowsArgs& a, int64_t begin, int64_t end) {
  const int64_t cols = a.y.cols;
  const int64_t row_bytes = cols * (a.word.dtype == DType::kF32 ? 4 : 2);
  for (int64_t t = begin; t < end; ++t) {
    // Word rows lie anywhere in a table of hundreds of megabytes: ask for the next one early.
    if (t + 1 < end) {
      const char* const next = static_cast<const char*>(a.word.data) + a.ids[t + 1] * row_bytes;
      for (int64_t i = 0; i < row_bytes; i += 64) _mm_prefetch(next + i, _MM_HINT_T0);
    }
    float* const y = a.y.data + t * a.y.stride;
    take_row<false>(a.word, a.ids[t], cols, y);
    take_row<true>(a.position, a.positions[t], cols, y);
    if (a.type.data) take_row<true>(a.type, a.types ? a.types[t] : 0, cols, y);
  }
}

// kVectors columns of vectors at a time stay in registers while the rows go by.
template <int kVectors, class Join>
SIS_INLINE void fold_columns(const FoldRowsArgs& a, int64_t c, int n, Vec factor, Join&& join) {
  Vec all[kVectors];
  const float* x = a.x.data + c;
  for (int i = 0; i < kVectors; ++i) all[i] = load(x + i * kLanes, n);
  for (int64_t t = 1; t < a.x.rows; ++t) {
    x += a.x.stride;
    for (int i = 0; i < kVectors; ++i) all[i] = join(all[i], load(x + i * kLanes, n));
  }
  for (int i = 0; i < kVectors; ++i) store(a.out + c + i * kLanes, Simd::mul(all[i], factor), n);
}
template <class Join>
SIS_INLINE void fold_all_columns(const FoldRowsArgs& a, int64_t begin, int64_t end, Vec factor,
                                 Join&& join) {
  int64_t c = begin;
  for (; c + 8 * kLanes <= end; c += 8 * kLanes) fold_columns<8>(a, c, kLanes, factor, join);
  each_vector(
      c, end, [&](int64_t at, int n) __attribute__((always_inline)) {
        fold_columns<1>(a, at, n, factor, join);
      });
}
SIS_INLINE void fold_some_rows(const FoldRowsArgs& a, int64_t begin, int64_t end) {
  if (a.fold == Fold::kSum)
    fold_all_columns(
        a, begin, end, Simd::set1(a.factor),
        [](Vec x, Vec y) __attribute__((always_inline)) { return Simd::add(x, y); });
  else
    fold_all_columns(
        a, begin, end, Simd::set1(1),
        [](Vec x, Vec y) __attribute__((always_inline)) { return Simd::max(x, y); });
}

SIS_INLINE void normalise_some_rows(const Mat<float>& m, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    float* const x = m.data + r * m.stride;
    Vec top = Simd::zero();
    each_vector(
        0, m.cols, [&](int64_t c, int n) __attribute__((always_inline)) {
          top = Simd::max(top, Simd::abs(load(x + c, n)));
        });
    const float largest = Simd::reduce_max(top);
    if (largest == 0) continue;
    const Vec scale = Simd::set1(1.0f / largest);
    FourSums squares;
    each_in_four(
        x, m.cols, [&](int i, Vec v, int) __attribute__((always_inline)) {
          const Vec d = Simd::mul(v, scale);
          squares.sum[i] = Simd::fma(d, d, squares.sum[i]);
        });
    const Vec factor = Simd::set1(1.0f / __builtin_sqrtf(squares.total()));
    each_vector(
        0, m.cols, [&](int64_t c, int n) __attribute__((always_inline)) {
          store(x + c, Simd::mul(Simd::mul(load(x + c, n), scale), factor), n);
        });
  }
}

}  // namespace
}  // namespace sis::kernels
