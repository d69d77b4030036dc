// Norm and rotation of heads of any width, on vectors; those in rotate_lines.h go their own way.
#pragma once

#include "infer/kernels/cpu/rotate_angles.h"
#include "infer/kernels/cpu/rotate_lay.h"
#if defined(__AVX512BW__)
#include "infer/kernels/cpu/rotate_lines.h"
#endif

namespace sis::kernels {
namespace {

// A head on its way: f32, zeros up to a multiple of 32.
struct HeadRow {
  alignas(64) float x[kDecoderHeadDimMax];
};

template <class T>
SIS_INLINE void load_head(const T* from, int dim, int padded, HeadRow& y) {
  for (int d = padded - 32 < 0 ? 0 : padded - 32; d < padded; d += kLanes)
    Simd::store(y.x + d, Simd::zero());
  each_vector(
      0, dim, [&](int64_t d, int n) __attribute__((always_inline)) {
        Simd::store(y.x + d, load(from + d, n));
      });
}
SIS_INLINE void norm_head(const float* scale, float eps, int dim, HeadRow& y) {
  FourSums squares;
  each_in_four(
      y.x, dim, [&](int i, Vec v, int) __attribute__((always_inline)) {
        squares.sum[i] = Simd::fma(v, v, squares.sum[i]);
      });
  const Vec factor =
      Simd::set1(1.0f / __builtin_sqrtf(squares.total() / static_cast<float>(dim) + eps));
  each_vector(
      0, dim, [&](int64_t d, int n) __attribute__((always_inline)) {
        store(y.x + d, Simd::mul(Simd::mul(load(y.x + d, n), factor), load(scale + d, n)), n);
      });
}
SIS_INLINE void turn_head(const float* cosine, const float* sine, int half, HeadRow& y) {
  each_vector(
      0, half, [&](int64_t i, int n) __attribute__((always_inline)) {
        const Vec low = load(y.x + i, n), high = load(y.x + half + i, n);
        const Vec c = Simd::load(cosine + i), s = Simd::load(sine + i);
        store(y.x + i, Simd::sub(Simd::mul(low, c), Simd::mul(high, s)), n);
        store(y.x + half + i, Simd::fma(high, c, Simd::mul(low, s)), n);
      });
}

// Only finite numbers go into the cache: later owners of a block multiply what they do not use by
// zero.
SIS_INLINE Vec finite(Vec v) {
  const float kMost = 0x1.FEp127f;  // the largest bf16
  return Simd::min(Simd::max(v, Simd::set1(-kMost)), Simd::set1(kMost));
}

// A head as it will be stored, in order of dimension.
struct StoredHead {
  alignas(64) std::byte bytes[kDecoderHeadDimMax * 4];
};
SIS_INLINE void round_head(const HeadRow& y, int padded, DType dtype, StoredHead& to,
                           std::byte* scale) {
  if (dtype == DType::kI8) {
    Vec top = Simd::zero();
    for (int d = 0; d < padded; d += kLanes)
      top = Simd::max(top, Simd::abs(finite(Simd::load(y.x + d))));
    const float largest = Simd::reduce_max(top);
    const bool zero = largest < 1e-30f;  // 127 / largest would overflow
    const float step = zero ? 0 : largest / 127;
    __builtin_memcpy(scale, &step, 4);
    const Vec inverse = Simd::set1(zero ? 0 : 127 / largest);
    for (int d = 0; d < padded; d += kLanes)
      Simd::store(reinterpret_cast<int8_t*>(to.bytes) + d,
                  Simd::mul(finite(Simd::load(y.x + d)), inverse));
  } else if (dtype == DType::kBf16) {
    for (int d = 0; d < padded; d += kLanes)
      Simd::store(reinterpret_cast<bf16*>(to.bytes) + d, finite(Simd::load(y.x + d)));
  } else {
    for (int d = 0; d < padded; d += kLanes)
      Simd::store(reinterpret_cast<float*>(to.bytes) + d, finite(Simd::load(y.x + d)));
  }
}

template <class T>
SIS_INLINE void rotate_some_rows(const RotateArgs<T>& a, int64_t begin, int64_t end) {
#if defined(__AVX512BW__)
  if constexpr (sizeof(T) == 2)
    if (in_lines(a)) return rotate_lines(a, begin, end);
#endif
  // Rows of one block are done together, head by head: their keys lie in the same lines, and those
  // of all heads would not fit into the first-level cache.
  constexpr int kRows = 16;
  const KvLayer& cache = a.cache;
  const int dim = cache.head_dim, padded = cache.dim_padded, half = a.frequencies;
  alignas(64) float cosine[kRows][kFrequenciesMax], sine[kRows][kFrequenciesMax];
  alignas(64) float frequency[kFrequenciesMax] = {};
  __builtin_memcpy(frequency, a.inverse_frequency, static_cast<size_t>(half) * 4);
  const int angles = (half + kLanes - 1) / kLanes * kLanes;
  HeadRow y;
  StoredHead stored;
  for (int64_t r = begin; r < end;) {
    const int64_t position = a.position + r;
    const int place = static_cast<int>(position % kKvBlockTokens);
    int rows = kKvBlockTokens - place < kRows ? kKvBlockTokens - place : kRows;
    if (rows > end - r) rows = static_cast<int>(end - r);
    T* const first = a.qkv + r * a.stride;
    for (int i = 0; i < rows; ++i) {
      turn_angles(static_cast<float>(position + i), frequency, angles, a.rope_factor, cosine[i],
                  sine[i]);
      T* head = first + i * a.stride;
      for (int h = 0; h < a.heads; ++h, head += dim) {
        load_head(head, dim, padded, y);
        if (a.q_norm) norm_head(a.q_norm, a.eps, dim, y);
        turn_head(cosine[i], sine[i], half, y);
        each_vector(
            0, dim, [&](int64_t d, int n) __attribute__((always_inline)) {
              store(head + d, Simd::load(y.x + d), n);
            });
      }
    }
    std::byte* tiles = cache.data + a.blocks[position / kKvBlockTokens] * cache.block_bytes;
    for (int h = 0; h < cache.kv_heads; ++h, tiles += cache.head_bytes) {
      std::byte* const scales = tiles + 2 * cache.tile_bytes;
      const T* key = first + (int64_t{a.heads} + h) * dim;
      const T* value = key + int64_t{cache.kv_heads} * dim;
      for (int i = 0, j = place; i < rows; ++i, ++j, key += a.stride, value += a.stride) {
        load_head(key, dim, padded, y);
        if (a.k_norm) norm_head(a.k_norm, a.eps, dim, y);
        turn_head(cosine[i], sine[i], half, y);
        round_head(y, padded, cache.dtype, stored, scales + j * 4);
        cache_key(stored.bytes, cache, j, tiles);
        load_head(value, dim, padded, y);
        round_head(y, padded, cache.dtype, stored, scales + (kKvBlockTokens + j) * 4);
        cache_value(stored.bytes, cache, j, tiles);
      }
    }
    r += rows;
  }
}

}  // namespace
}  // namespace sis::kernels
