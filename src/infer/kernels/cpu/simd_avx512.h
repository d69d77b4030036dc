// Eight-to-sixteen-lane vectors behind one set of names: this header with AVX-512, simd_avx2.h with
// AVX2.
//
// Row-wise kernels are written once against `Simd` and compiled per variant. Everything lives in an
// unnamed namespace and is inlined: a file built for one instruction set must not lend code to
// another. `n` in the _n functions is how many lanes exist in memory (0..kLanes); the others are
// never touched, so that rows may end at the end of a mapped file. Stores to bf16 round to nearest,
// ties to even; where the CPU has an instruction for that, subnormal numbers become zero.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "infer/tensor/dtype.h"

#define SIS_SIMD
#define SIS_INLINE [[gnu::always_inline]] static inline

namespace sis {
namespace {

struct Simd {
  using Vec = __m512;
  static constexpr int kLanes = 16;

  SIS_INLINE __mmask16 mask(int n) {
    return static_cast<__mmask16>(_bzhi_u32(0xFFFF, static_cast<unsigned>(n)));
  }
  SIS_INLINE __mmask32 mask32(int n) {
    return static_cast<__mmask32>(_bzhi_u64(0xFFFFFFFF, static_cast<unsigned>(n)));
  }

  SIS_INLINE Vec zero() { return _mm512_setzero_ps(); }
  SIS_INLINE Vec set1(float x) { return _mm512_set1_ps(x); }
  SIS_INLINE Vec load(const float* p) { return _mm512_loadu_ps(p); }
  SIS_INLINE Vec load_n(const float* p, int n) { return _mm512_maskz_loadu_ps(mask(n), p); }
  SIS_INLINE void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
  SIS_INLINE void store_n(float* p, Vec v, int n) { _mm512_mask_storeu_ps(p, mask(n), v); }

  SIS_INLINE Vec from_bf16(__m256i v) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
  }
  SIS_INLINE Vec load(const bf16* p) {
    return from_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  SIS_INLINE Vec load_n(const bf16* p, int n) {
    return from_bf16(_mm256_maskz_loadu_epi16(mask(n), p));
  }
  SIS_INLINE Vec load(const f16* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  SIS_INLINE Vec load_n(const f16* p, int n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask(n), p));
  }
  SIS_INLINE __m256i to_bf16(Vec v) {
#if defined(__AVX512BF16__)
    return (__m256i)_mm512_cvtneps_pbh(v);
#else
    const __m512i u = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    const __m512i kept = _mm512_or_si512(u, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, kept), 16));
#endif
  }
  SIS_INLINE void store(bf16* p, Vec v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_bf16(v));
  }
  SIS_INLINE void store_n(bf16* p, Vec v, int n) {
    _mm256_mask_storeu_epi16(p, mask(n), to_bf16(v));
  }
  // Integers in [-127, 127], rounded to nearest.
  SIS_INLINE Vec load(const int8_t* p) {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  // kLanes pairs of neighbouring elements, apart.
  SIS_INLINE void load_pairs(const bf16* p, Vec& low, Vec& high) {
    const __m512i pairs = _mm512_loadu_si512(p);
    low = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    high = _mm512_castsi512_ps(
        _mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xFFFF0000))));
  }
  SIS_INLINE void store(int8_t* p, Vec v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
  }

  SIS_INLINE Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
  SIS_INLINE Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
  SIS_INLINE Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
  // a * b rounded to f32, whatever comes next: the compiler would fuse a plain product with an
  // addition.
  SIS_INLINE Vec rounded_mul(Vec a, Vec b) {
    Vec product = mul(a, b);
    asm("" : "+v"(product));
    return product;
  }
  SIS_INLINE Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
  SIS_INLINE Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
  SIS_INLINE Vec abs(Vec a) { return _mm512_abs_ps(a); }
  SIS_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
  // Lanes at and beyond n become `other`.
  SIS_INLINE Vec keep_n(Vec v, int n, Vec other) { return _mm512_mask_mov_ps(other, mask(n), v); }
  SIS_INLINE float first(Vec v) { return _mm512_cvtss_f32(v); }
  SIS_INLINE float reduce_add(Vec v) { return _mm512_reduce_add_ps(v); }
  SIS_INLINE float reduce_max(Vec v) { return _mm512_reduce_max_ps(v); }

  // 2^x, relative error below 2e-7 (kDegree 5) or 3e-6 (4): 2^floor(x) times a minimax polynomial
  // (Remez) of the fraction. Underflows to zero.
  template <int kDegree>
  SIS_INLINE Vec exp2(Vec x) {
    static_assert(kDegree == 4 || kDegree == 5);
    const Vec r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    Vec p;
    if constexpr (kDegree == 5) {
      p = fma(set1(1.877576673e-03f), r, set1(8.989340095e-03f));
      p = fma(p, r, set1(5.582631805e-02f));
      p = fma(p, r, set1(2.401536170e-01f));
      p = fma(p, r, set1(6.931530732e-01f));
      p = fma(p, r, set1(9.999999251e-01f));
    } else {
      p = fma(set1(1.353416791e-02f), r, set1(5.201146062e-02f));
      p = fma(p, r, set1(2.414427569e-01f));
      p = fma(p, r, set1(6.930038345e-01f));
      p = fma(p, r, set1(1.000002593e+00f));
    }
    return _mm512_scalef_ps(p, x);
  }

  // rows[i][j] <-> rows[j][i], on 32-bit elements.
  SIS_INLINE void transpose(Vec (&rows)[16]) {
    __m512d t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      t[i] = _mm512_castps_pd(_mm512_unpacklo_ps(rows[i], rows[i + 1]));
      t[i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(rows[i], rows[i + 1]));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
      rows[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(t[i], t[i + 2]));
      rows[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(t[i], t[i + 2]));
      rows[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(t[i + 1], t[i + 3]));
      rows[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(t[i + 1], t[i + 3]));
    }
    // Now rows[4g + c] holds column 4l + c of input rows 4g..4g+3 in its 128-bit lane l.
    Vec u[16];
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      u[c] = _mm512_shuffle_f32x4(rows[c], rows[4 + c], 0x44);           // g0 l0 l1, g1 l0 l1
      u[4 + c] = _mm512_shuffle_f32x4(rows[c], rows[4 + c], 0xEE);       // g0 l2 l3, g1 l2 l3
      u[8 + c] = _mm512_shuffle_f32x4(rows[8 + c], rows[12 + c], 0x44);  // g2 l0 l1, g3 l0 l1
      u[12 + c] = _mm512_shuffle_f32x4(rows[8 + c], rows[12 + c], 0xEE);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      rows[c] = _mm512_shuffle_f32x4(u[c], u[8 + c], 0x88);
      rows[4 + c] = _mm512_shuffle_f32x4(u[c], u[8 + c], 0xDD);
      rows[8 + c] = _mm512_shuffle_f32x4(u[4 + c], u[12 + c], 0x88);
      rows[12 + c] = _mm512_shuffle_f32x4(u[4 + c], u[12 + c], 0xDD);
    }
  }

  // Sixteen vectors to one: lane i is the sum (or maximum) of vector i's lanes, in the same order
  // for every i.
  template <class Join>
  SIS_INLINE Vec reduce_sixteen(const float* rows, const Join& join) {
    Vec v[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) v[i] = load(rows + i * 16);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
      v[i] = join(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]),
                  _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512d a = _mm512_castps_pd(v[2 * i]), b = _mm512_castps_pd(v[2 * i + 1]);
      v[i] = join(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                  _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i)
      v[i] = join(_mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0x88),
                  _mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0xDD));
    return join(_mm512_shuffle_f32x4(v[0], v[1], 0x88), _mm512_shuffle_f32x4(v[0], v[1], 0xDD));
  }
};

}  // namespace
}  // namespace sis
