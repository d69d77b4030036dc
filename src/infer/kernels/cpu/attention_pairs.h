// bf16 pairs for the dot instructions of AVX512_BF16 and AMX.
#pragma once

#include "infer/kernels/cpu/simd_avx512.h"

#include "infer/kernels/cpu/attention_blocks.h"

namespace sis::kernels {
namespace {

struct PairNumbers {
  using Element = bf16;
  static constexpr int kPerDword = 2;

  // 32 elements from column c of a row that is `dim` elements wide; zeros behind its end.
  SIS_INLINE __mmask32 columns(int c, int dim) {
    return Simd::mask32(static_cast<int>(least(dim - c < 0 ? 0 : dim - c, 32)));
  }
  SIS_INLINE __m512i load_pairs(const bf16* row, int c, int dim) {
    return _mm512_maskz_loadu_epi16(columns(c, dim), row + c);
  }
  SIS_INLINE Vec load(const bf16* row, int c, int dim) {
    return _mm512_castsi512_ps(load_pairs(row, c, dim));
  }
  SIS_INLINE Vec pair_dot(Vec a, Vec b, Vec sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_castps_si512(a),
                            (__m512bh)_mm512_castps_si512(b));
  }
  SIS_INLINE Vec dot(float a, Vec b, Vec sum) { return pair_dot(Simd::set1(a), b, sum); }

  // Every 32 keys make 16 rows of dwords, key j beside key j + 16: the order in which two vectors
  // of weights join without a permutation. The products add over keys, so any order will do.
  SIS_INLINE void pack_values(const bf16* v, int64_t stride, int keys, int padded, int head_dim,
                              int dim, float* to) {
    const __m512i left = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i right = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    const int64_t panel = int64_t{padded} / 2 * 16;
    const __mmask32 tail = columns(dim - 32, head_dim);
    for (int j = 0; j < padded; j += 32, v += 32 * stride, to += 256) {
      float* row = to;
      for (int i = 0; i < 16; ++i, row += 16) {
        // Rows that do not exist are read from where something does: a load that is masked out
        // whole still costs hundreds of cycles where its page is missing.
        const bool has_a = j + i < keys, has_b = j + i + 16 < keys;
        const __mmask32 use_a = has_a ? 0xFFFFFFFF : 0, use_b = has_b ? 0xFFFFFFFF : 0;
        const bf16* const a = v + (has_a ? i * stride : 0);
        const bf16* const b = v + (has_b ? (i + 16) * stride : 0);
        float* at = row;
        for (int c = 0; c < dim; c += 32, at += 2 * panel) {
          const __mmask32 real = c + 32 < dim ? 0xFFFFFFFF : tail;
          const __m512i x = _mm512_maskz_loadu_epi16(use_a & real, a + c);
          const __m512i y = _mm512_maskz_loadu_epi16(use_b & real, b + c);
          const __m512i low = _mm512_unpacklo_epi16(x, y), high = _mm512_unpackhi_epi16(x, y);
          _mm512_storeu_si512(at, _mm512_permutex2var_epi64(low, left, high));
          _mm512_storeu_si512(at + panel, _mm512_permutex2var_epi64(low, right, high));
        }
      }
    }
  }

  // As weigh_f32, the weights rounded to bf16; adds to sixteen running sums. What is summed are the
  // rounded weights: their common error then cancels when the row is divided by the sum.
  SIS_INLINE Vec weigh_lanes(const float* s, int keys, int padded, Vec factor, Vec top, float* p,
                             Vec total0) {
    Vec total1 = Simd::zero();
    int j = 0;
    for (; j + 32 <= keys; j += 32) {
      const Vec p0 = half_up(Simd::exp2<4>(lowered(Simd::load(s + j), factor, top)));
      const Vec p1 = half_up(Simd::exp2<4>(lowered(Simd::load(s + j + 16), factor, top)));
      total0 = Simd::add(total0, upper(p0));
      total1 = Simd::add(total1, upper(p1));
      Simd::store(p + j / 2, upper_pairs(p0, p1));
    }
    if (j < padded) {
      const int n0 = static_cast<int>(least(keys - j, 16)), n1 = keys - j > 16 ? keys - j - 16 : 0;
      Vec p0 = half_up(Simd::exp2<4>(lowered(Simd::load(s + j), factor, top)));
      Vec p1 = half_up(Simd::exp2<4>(lowered(Simd::load(s + j + 16), factor, top)));
      p0 = Simd::keep_n(p0, n0, Simd::zero());
      p1 = Simd::keep_n(p1, n1, Simd::zero());
      total0 = Simd::add(total0, upper(p0));
      total1 = Simd::add(total1, upper(p1));
      Simd::store(p + j / 2, upper_pairs(p0, p1));
    }
    return Simd::add(total0, total1);
  }
  SIS_INLINE float weigh(const float* s, int keys, int padded, Vec factor, Vec top, float* p) {
    return Simd::reduce_add(weigh_lanes(s, keys, padded, factor, top, p, Simd::zero()));
  }
  // Weights are positive and finite: adding half a step and cutting rounds them, and keeps the one
  // port that does floating point beside tiles free (vcvtne2ps2bf16 takes it for two cycles).
  SIS_INLINE Vec half_up(Vec v) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(v), _mm512_set1_epi32(0x8000)));
  }
  SIS_INLINE Vec upper(Vec v) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(static_cast<int>(0xFFFF0000))));
  }
  SIS_INLINE Vec upper_pairs(Vec low, Vec high) {
    const __m512i a = _mm512_castps_si512(low), b = _mm512_castps_si512(high);
    const __m512i down = _mm512_set4_epi32(0x0F0E0F0E, 0x0B0A0B0A, 0x07060706, 0x03020302);
    return _mm512_castsi512_ps(
        _mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_shuffle_epi8(a, down), b));
  }
  SIS_INLINE Vec to_pairs(Vec low, Vec high) {
    return _mm512_castsi512_ps((__m512i)_mm512_cvtne2ps_pbh(high, low));
  }

  // Sixteen vectors to one: lane i is the sum (or maximum) of vector i's lanes.
  template <class Join>
  SIS_INLINE Vec reduce_sixteen(const float* rows, Join&& join) {
    return Simd::reduce_sixteen(rows, join);
  }
};

}  // namespace
}  // namespace sis::kernels
