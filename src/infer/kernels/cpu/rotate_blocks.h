// Norm and rotation of heads, and how they are laid into the cache, on vectors.
#pragma once

#include "infer/kernels/cpu/row_vectors.h"

#include "infer/kernels/decoder_rows.h"

namespace sis::kernels {
namespace {

constexpr int kFrequenciesMax = kDecoderHeadDimMax / 2;

// Cosine and sine of the angles of one position, f32 products with `frequency`, times `factor`:
// reduced and summed in double, so that they are right to the last bit but one at any position.
// `count` a multiple of kLanes.
SIS_INLINE void turn_angles(float position, const float* frequency, int count, float factor,
                            float* cosine, float* sine) {
  constexpr int kTogether = kLanes / 2;
  using Floats [[gnu::vector_size(4 * kTogether)]] = float;
  using Doubles [[gnu::vector_size(8 * kTogether)]] = double;
  using Bits [[gnu::vector_size(8 * kTogether)]] = int64_t;
  constexpr double kTwoOverPi = 0.63661977236758134308;
  constexpr double kHalfPiHigh = 1.5707963267948966, kHalfPiLow = 6.123233995736766e-17;
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  for (int i = 0; i < count; i += kTogether) {
    Floats f;
    __builtin_memcpy(&f, frequency + i, sizeof f);
    f *= position;
    const Doubles angle = __builtin_convertvector(f, Doubles);
    const Doubles rounded = angle * kTwoOverPi + kMagic, whole = rounded - kMagic;
    const Doubles r = (angle - whole * kHalfPiHigh) - whole * kHalfPiLow, q = r * r;
    const Doubles s =
        r + r * q *
                (-1.0 / 6 +
                 q * (1.0 / 120 + q * (-1.0 / 5040 + q * (1.0 / 362880 - q * (1.0 / 39916800)))));
    const Doubles c =
        1 +
        q * (-0.5 + q * (1.0 / 24 + q * (-1.0 / 720 + q * (1.0 / 40320 - q * (1.0 / 3628800)))));
    // Quarters of a turn exchange the two and change signs.
    const Bits quarter = (Bits)rounded;
    const Bits sin = (Bits)((quarter & 1) != 0 ? c : s) ^ (quarter & 2) << 62;
    const Bits cos = (Bits)((quarter & 1) != 0 ? s : c) ^ ((quarter + 1) & 2) << 62;
    const Floats sin_f = __builtin_convertvector((Doubles)sin, Floats) * factor;
    const Floats cos_f = __builtin_convertvector((Doubles)cos, Floats) * factor;
    __builtin_memcpy(sine + i, &sin_f, sizeof sin_f);
    __builtin_memcpy(cosine + i, &cos_f, sizeof cos_f);
  }
}

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
  alignas(64) unsigned char bytes[kDecoderHeadDimMax * 4];
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

// `Element`s of 16 keys lie side by side: two neighbouring dimensions of bf16, one of int8.
template <class Element>
SIS_INLINE void lay_key(const StoredHead& from, int padded, int j, std::byte* tile) {
  constexpr int kPerHalf = sizeof(Element) == 1 ? 32 : 16;  // of 32 dimensions
  Element* to = reinterpret_cast<Element*>(tile) + j / 16 * (16 * kPerHalf) + j % 16;
  const Element* elements = reinterpret_cast<const Element*>(from.bytes);
  for (int d = 0; d < padded; d += 32, to += 32 * kPerHalf, elements += kPerHalf)
#pragma GCC unroll 32
    for (int p = 0; p < kPerHalf; ++p) to[p * 16] = elements[p];
}
// Every second element of a row of 16 dimensions belongs to this key.
SIS_INLINE void lay_values(const StoredHead& from, int padded, int j, std::byte* tile) {
  uint16_t* to = reinterpret_cast<uint16_t*>(tile) + j % 16 * 32;
  const uint16_t* x = reinterpret_cast<const uint16_t*>(from.bytes);
  for (int d = 0; d < padded; d += 16, to += 512, x += 16) {
#if defined(__AVX512BW__)
    const __m512i wide =
        _mm512_cvtepu16_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(x)));
    if (j >= 16)
      _mm512_mask_storeu_epi16(to, 0xAAAAAAAA, _mm512_slli_epi32(wide, 16));
    else
      _mm512_mask_storeu_epi16(to, 0x55555555, wide);
#else
    for (int i = 0; i < 16; ++i) to[2 * i + j / 16] = x[i];
#endif
  }
}
// One half of the row does.
SIS_INLINE void lay_values_int8(const StoredHead& from, int padded, int j, std::byte* tile) {
  std::byte* const to = tile + j % 16 * 32 + j / 16 * 16;
  for (int d = 0; d < padded; d += 16) __builtin_memcpy(to + d * 32, from.bytes + d, 16);
}

SIS_INLINE void cache_key(const StoredHead& stored, const KvLayer& cache, int j, std::byte* tiles) {
  const int padded = cache.dim_padded;
  if (cache.dtype == DType::kBf16) {
    lay_key<uint32_t>(stored, padded, j, tiles);
  } else if (cache.dtype == DType::kI8) {
    lay_key<uint8_t>(stored, padded, j, tiles);
  } else {
    float* to = reinterpret_cast<float*>(tiles) + j / 16 * (padded * 16) + j % 16;
    for (int d = 0; d < padded; ++d) to[d * 16] = reinterpret_cast<const float*>(stored.bytes)[d];
  }
}
SIS_INLINE void cache_value(const StoredHead& stored, const KvLayer& cache, int j,
                            std::byte* tiles) {
  const int padded = cache.dim_padded;
  std::byte* const tile = tiles + cache.tile_bytes;
  if (cache.dtype == DType::kF32)
    __builtin_memcpy(tile + j * padded * 4, stored.bytes, static_cast<size_t>(padded) * 4);
  else if (cache.dtype == DType::kI8)
    lay_values_int8(stored, padded, j, tile);
  else
    lay_values(stored, padded, j, tile);
}

template <class T>
SIS_INLINE void rotate_some_rows(const RotateArgs<T>& a, int64_t begin, int64_t end) {
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
        cache_key(stored, cache, j, tiles);
        load_head(value, dim, padded, y);
        round_head(y, padded, cache.dtype, stored, scales + (kKvBlockTokens + j) * 4);
        cache_value(stored, cache, j, tiles);
      }
    }
    r += rows;
  }
}

}  // namespace
}  // namespace sis::kernels
