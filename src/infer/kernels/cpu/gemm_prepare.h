// Rows of x quantised to int8 for the kernels, each padded with zeros to whole tiles.
//
// Quantising a row of K bf16 values (gemm.h tells why):
//   m          largest magnitude; below 2^-100 the row counts as zeros, at infinity or NaN its
//              scale is NaN
//   bound      m / 2^j with the largest j in 1..7 for which at most clamp(K / 128, 1, 16) elements
//              are above; m where not even j = 1 is
//   threshold  largest magnitude up to bound, but at least m / 128
//   q[k]       round(x[k] * (127 / threshold)), |q| <= 127 * 128; q = 128 * high + low, low in
//   [-64, 63] above the
//              threshold, low = q and high = 0 up to it
// Magnitudes are compared as the integers bf16 bits are, so every variant decides alike.
//
// In an unnamed namespace on purpose, see gemm_simd.h.
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "infer/kernels/gemm.h"

namespace sis::gemm {
namespace {

inline float bf16_value(uint32_t bits) { return __builtin_bit_cast(float, bits << 16); }

inline uint32_t max_magnitude(const uint16_t* x, int64_t n) {
  int64_t i = 0;
  uint16_t m = 0;
#if defined(__AVX512BW__)
  const __m512i mask = _mm512_set1_epi16(0x7FFF);
  __m512i best = _mm512_setzero_si512(), best2 = best;
  for (; i + 64 <= n; i += 64) {
    best = _mm512_max_epu16(best, _mm512_and_si512(_mm512_loadu_si512(x + i), mask));
    best2 = _mm512_max_epu16(best2, _mm512_and_si512(_mm512_loadu_si512(x + i + 32), mask));
  }
  best = _mm512_max_epu16(best, best2);
  const __m256i half =
      _mm256_max_epu16(_mm512_castsi512_si256(best), _mm512_extracti64x4_epi64(best, 1));
  const __m128i quarter =
      _mm_max_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  // minpos finds the smallest: of the complement.
  m = static_cast<uint16_t>(
      ~_mm_cvtsi128_si32(_mm_minpos_epu16(_mm_xor_si128(quarter, _mm_set1_epi16(-1)))));
#endif
  for (; i < n; ++i) {
    const uint16_t magnitude = x[i] & 0x7FFF;
    m = magnitude > m ? magnitude : m;
  }
  return m;
}

// Whether at most `most` elements are above. Stops when it knows.
inline bool few_above(const uint16_t* x, int64_t n, uint32_t threshold, int64_t most) {
  int64_t i = 0, count = 0;
#if defined(__AVX512BW__)
  const __m512i mask = _mm512_set1_epi16(0x7FFF);
  const __m512i limit = _mm512_set1_epi16(static_cast<int16_t>(threshold));
  for (; i + 32 <= n && count <= most; i += 32)
    count += __builtin_popcount(
        _mm512_cmpgt_epu16_mask(_mm512_and_si512(_mm512_loadu_si512(x + i), mask), limit));
#endif
  for (; i < n && count <= most; ++i) count += (x[i] & 0x7FFF) > static_cast<int64_t>(threshold);
  return count <= most;
}

// Largest magnitude that is not above `bound`.
inline uint32_t max_magnitude_up_to(const uint16_t* x, int64_t n, uint32_t bound) {
  int64_t i = 0;
  uint32_t m = 0;
#if defined(__AVX512BW__)
  const __m512i mask = _mm512_set1_epi16(0x7FFF);
  const __m512i limit = _mm512_set1_epi16(static_cast<int16_t>(bound));
  __m512i best = _mm512_setzero_si512();
  for (; i + 32 <= n; i += 32) {
    const __m512i magnitude = _mm512_and_si512(_mm512_loadu_si512(x + i), mask);
    best = _mm512_mask_max_epu16(best, _mm512_cmple_epu16_mask(magnitude, limit), best, magnitude);
  }
  alignas(64) uint16_t lanes[32];
  _mm512_store_si512(lanes, best);
  for (const uint16_t lane : lanes) m = lane > m ? lane : m;
#endif
  for (; i < n; ++i) {
    const uint32_t magnitude = x[i] & 0x7FFFu;
    if (magnitude <= bound && magnitude > m) m = magnitude;
  }
  return m;
}

inline int32_t quantise_one(uint16_t bits, float inverse) {
  // Adding 1.5 * 2^23 rounds to nearest even.
  return static_cast<int32_t>(bf16_value(bits) * inverse + 12582912.0f - 12582912.0f);
}

// `flip` is xored to every byte: 0x80 where the kernel wants q + 128 as unsigned.
template <uint8_t kFlip>
inline void quantise_row(const Product& p, int64_t row) {
  const int64_t k_max = p.weights.in, tiles = p.weights.k_tiles;
  const uint16_t* x = static_cast<const uint16_t*>(p.x) + row * p.x_stride;
  uint8_t* to = p.prepared + row * p.weights.prepared_stride;
  HighDigits& out = p.high[row];
  const uint32_t m = max_magnitude(x, k_max);
  float inverse = 0.0f, scale = 0.0f;
  uint32_t threshold = m;
  if (m >= 0x7F80) {
    scale = __builtin_nanf("");
  } else if (m >= 27 << 7) {
    const int64_t cap = k_max / 128;
    const int64_t outliers_max = cap < 1              ? 1
                                 : cap > kOutliersMax ? static_cast<int64_t>(kOutliersMax)
                                                      : cap;
    for (uint32_t j = 1; j <= 7 && m > (j + 27) << 7; ++j) {
      if (!few_above(x, k_max, m - (j << 7), outliers_max)) break;
      threshold = m - (j << 7);
    }
    if (threshold != m) {
      const uint32_t tight = max_magnitude_up_to(x, k_max, threshold);
      const uint32_t least = m > (7 + 27) << 7 ? m - (7 << 7) : 27 << 7;
      threshold = tight > least ? tight : least;
    }
    inverse = 127.0f / bf16_value(threshold);
    scale = bf16_value(threshold) / 127.0f;
  }
  p.row_scale[row] = {scale, 0};

  int64_t k = 0;
#if defined(__AVX512BW__)
  const __m512 by = _mm512_set1_ps(inverse);
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(kFlip));
  for (; k + 64 <= k_max; k += 64) {
    __m512i q[4];
    for (int i = 0; i < 4; ++i) {
      const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + k + 16 * i));
      const __m512 v = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
      q[i] = _mm512_cvtps_epi32(_mm512_mul_ps(v, by));
    }
    // Packing works within 128-bit lanes; one permutation puts the 4-byte groups in order.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i bytes =
        _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
    bytes = _mm512_xor_si512(_mm512_permutexvar_epi32(order, bytes), flip);
    _mm512_store_si512(to + k, bytes);
  }
#endif
  for (; k < tiles * 64; k += 64) {
    uint8_t* line = to + k;
    for (int64_t i = 0; i < 64; ++i) {
      const bool inside = k + i < k_max && inverse != 0.0f;
      line[i] = static_cast<uint8_t>(inside ? quantise_one(x[k + i], inverse) : 0) ^ kFlip;
    }
  }
  if (threshold == m || inverse == 0.0f) return;

  // The loud ones: low digit into the row, high digit into the list.
  int32_t loud = 0;
  const auto split = [&](int64_t i) {
    const int32_t q = quantise_one(x[i], inverse);
    const int32_t high = (q + 64) >> 7;
    to[i] = static_cast<uint8_t>(q - 128 * high) ^ kFlip;
    out.column[loud] = static_cast<int32_t>(i);
    out.digit[loud] = static_cast<float>(high);
    ++loud;
  };
  int64_t i = 0;
#if defined(__AVX512BW__)
  const __m512i magnitude_mask = _mm512_set1_epi16(0x7FFF);
  const __m512i limit = _mm512_set1_epi16(static_cast<int16_t>(threshold));
  for (; i + 32 <= k_max; i += 32) {
    const __m512i magnitude = _mm512_and_si512(_mm512_loadu_si512(x + i), magnitude_mask);
    for (uint32_t above = _mm512_cmpgt_epu16_mask(magnitude, limit); above; above &= above - 1)
      split(i + __builtin_ctz(above));
  }
#endif
  for (; i < k_max; ++i)
    if ((x[i] & 0x7FFFu) > threshold) split(i);
  p.row_scale[row].loud = loud;
}

template <uint8_t kFlip = 0>
inline void quantise_rows(const Product& p, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) quantise_row<kFlip>(p, row);
}

}  // namespace
}  // namespace sis::gemm
