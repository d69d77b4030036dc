// The names of simd_avx512.h with AVX2, FMA and F16C: eight lanes. See there for the rules.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "infer/tensor/dtype.h"

#define SIS_SIMD
#define SIS_INLINE [[gnu::always_inline]] static inline

namespace sis {
namespace {

struct Simd {
  using Vec = __m256;
  static constexpr int kLanes = 8;

  SIS_INLINE __m256i mask(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }

  SIS_INLINE Vec zero() { return _mm256_setzero_ps(); }
  SIS_INLINE Vec set1(float x) { return _mm256_set1_ps(x); }
  SIS_INLINE Vec load(const float* p) { return _mm256_loadu_ps(p); }
  SIS_INLINE Vec load_n(const float* p, int n) { return _mm256_maskload_ps(p, mask(n)); }
  SIS_INLINE void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
  SIS_INLINE void store_n(float* p, Vec v, int n) { _mm256_maskstore_ps(p, mask(n), v); }

  // AVX2 has no 16-bit masks: tails go through the stack.
  SIS_INLINE __m128i load16(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  SIS_INLINE __m128i load16_n(const void* p, int n) {
    alignas(16) uint16_t lanes[8] = {};
    __builtin_memcpy(lanes, p, static_cast<size_t>(n) * 2);
    return load16(lanes);
  }
  SIS_INLINE Vec from_bf16(__m128i v) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
  }
  SIS_INLINE Vec load(const bf16* p) { return from_bf16(load16(p)); }
  SIS_INLINE Vec load_n(const bf16* p, int n) { return from_bf16(load16_n(p, n)); }
  SIS_INLINE Vec load(const f16* p) { return _mm256_cvtph_ps(load16(p)); }
  SIS_INLINE Vec load_n(const f16* p, int n) { return _mm256_cvtph_ps(load16_n(p, n)); }
  SIS_INLINE __m128i to_bf16(Vec v) {
    const __m256i u = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i kept = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, kept, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  }
  SIS_INLINE void store(bf16* p, Vec v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), to_bf16(v));
  }
  SIS_INLINE void store_n(bf16* p, Vec v, int n) {
    alignas(16) uint16_t lanes[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(lanes), to_bf16(v));
    __builtin_memcpy(static_cast<void*>(p), lanes, static_cast<size_t>(n) * 2);
  }
  // Integers in [-127, 127].
  SIS_INLINE Vec load(const int8_t* p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  // kLanes pairs of neighbouring elements, apart.
  SIS_INLINE void load_pairs(const bf16* p, Vec& low, Vec& high) {
    const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    low = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
    high = _mm256_castsi256_ps(
        _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xFFFF0000))));
  }
  SIS_INLINE void store(int8_t* p, Vec v) {
    const __m256i whole = _mm256_cvtps_epi32(v);
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }

  SIS_INLINE Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
  SIS_INLINE Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
  SIS_INLINE Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
  // a * b rounded to f32, whatever comes next: the compiler would fuse a plain product with an
  // addition.
  SIS_INLINE Vec rounded_mul(Vec a, Vec b) {
    Vec product = mul(a, b);
    asm("" : "+x"(product));
    return product;
  }
  SIS_INLINE Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
  SIS_INLINE Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
  SIS_INLINE Vec abs(Vec a) { return _mm256_andnot_ps(set1(-0.0f), a); }
  SIS_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
  SIS_INLINE Vec keep_n(Vec v, int n, Vec other) {
    return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(mask(n)));
  }
  SIS_INLINE float first(Vec v) { return _mm256_cvtss_f32(v); }
  SIS_INLINE float reduce_add(Vec v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  SIS_INLINE float reduce_max(Vec v) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }

  // 2^x as in simd_avx512.h (degree 5 only); below 2^-126 it is zero.
  template <int kDegree>
  SIS_INLINE Vec exp2(Vec x) {
    static_assert(kDegree == 5);
    const Vec low = set1(-126.0f);
    const Vec in_range = _mm256_cmp_ps(x, low, _CMP_GE_OQ);
    x = max(x, low);
    const Vec whole = _mm256_floor_ps(x);
    const Vec r = sub(x, whole);
    Vec p = fma(set1(1.877576673e-03f), r, set1(8.989340095e-03f));
    p = fma(p, r, set1(5.582631805e-02f));
    p = fma(p, r, set1(2.401536170e-01f));
    p = fma(p, r, set1(6.931530732e-01f));
    p = fma(p, r, set1(9.999999251e-01f));
    const __m256i shift = _mm256_slli_epi32(_mm256_cvtps_epi32(whole), 23);
    p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), shift));
    return _mm256_and_ps(p, in_range);
  }

  SIS_INLINE void transpose(Vec (&rows)[8]) {
    __m256d t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
      t[i] = _mm256_castps_pd(_mm256_unpacklo_ps(rows[i], rows[i + 1]));
      t[i + 1] = _mm256_castps_pd(_mm256_unpackhi_ps(rows[i], rows[i + 1]));
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
      rows[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(t[i], t[i + 2]));
      rows[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(t[i], t[i + 2]));
      rows[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(t[i + 1], t[i + 3]));
      rows[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(t[i + 1], t[i + 3]));
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const Vec low = _mm256_permute2f128_ps(rows[c], rows[4 + c], 0x20);
      rows[4 + c] = _mm256_permute2f128_ps(rows[c], rows[4 + c], 0x31);
      rows[c] = low;
    }
  }
};

}  // namespace
}  // namespace sis
