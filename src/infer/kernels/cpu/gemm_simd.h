// Vectors of floats with one spelling for the epilogue and the quantiser: 1, 8 or 16 lanes.
//
// Every operation is a single IEEE operation per lane, so that code written on these types gives
// the same bits at every width. min and max return their second argument where one is a NaN, as x86
// does. Included by files compiled for different CPUs: everything is in an unnamed namespace on
// purpose.
#pragma once

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstdint>

namespace sis::gemm {
namespace {

struct F32x1 {
  static constexpr int kLanes = 1;
  float v;

  static F32x1 set(float x) { return {x}; }
  static F32x1 load(const float* p) { return {*p}; }
  static F32x1 load_int(const int32_t* p) { return {static_cast<float>(*p)}; }
  // Byte `b` of each 4-byte lane, signed.
  static F32x1 load_byte(const uint8_t* p, int b) {
    return {static_cast<float>(static_cast<int8_t>(p[b]))};
  }
  // Nibble `n` of each 4-byte lane.
  static F32x1 load_nibble(const uint8_t* p, int n) {
    return {static_cast<float>(p[n / 2] >> (n % 2 * 4) & 15)};
  }
  // Of each 2-byte lane.
  static F32x1 load_low_byte(const uint8_t* p) { return {static_cast<float>(p[0])}; }
  static F32x1 load_high_byte(const uint8_t* p) { return {static_cast<float>(p[1])}; }
  void store(float* p) const { *p = v; }
  // Round to nearest even; what is subnormal becomes zero, as vcvtneps2bf16 does.
  void store_bf16(uint16_t* p) const {
    uint32_t u = __builtin_bit_cast(uint32_t, v);
    const uint32_t magnitude = u & 0x7FFFFFFF;
    if (magnitude < 0x00800000) u &= 0x80000000;
    *p = static_cast<uint16_t>(magnitude > 0x7F800000 ? u >> 16 | 0x40
                                                      : (u + 0x7FFF + (u >> 16 & 1)) >> 16);
  }

  friend F32x1 operator+(F32x1 a, F32x1 b) { return {a.v + b.v}; }
  friend F32x1 operator-(F32x1 a, F32x1 b) { return {a.v - b.v}; }
  friend F32x1 operator*(F32x1 a, F32x1 b) { return {a.v * b.v}; }
  friend F32x1 operator/(F32x1 a, F32x1 b) { return {a.v / b.v}; }
  friend F32x1 fma(F32x1 a, F32x1 b, F32x1 c) { return {__builtin_fmaf(a.v, b.v, c.v)}; }
  friend F32x1 min(F32x1 a, F32x1 b) { return {a.v < b.v ? a.v : b.v}; }
  friend F32x1 max(F32x1 a, F32x1 b) { return {a.v > b.v ? a.v : b.v}; }
  // a * 2^n for an integral n that keeps the result normal.
  friend F32x1 scale2(F32x1 a, F32x1 n) {
    const uint32_t shift = static_cast<uint32_t>(static_cast<int32_t>(n.v)) << 23;
    return {__builtin_bit_cast(float, __builtin_bit_cast(uint32_t, a.v) + shift)};
  }
  // The same for a sum n + 1.5 * 2^23, whose last bits are n's.
  friend F32x1 scale2_magic(F32x1 a, F32x1 sum) {
    const uint32_t shift = __builtin_bit_cast(uint32_t, sum.v) << 23;
    return {__builtin_bit_cast(float, __builtin_bit_cast(uint32_t, a.v) + shift)};
  }
  // 1 / a within an eighth, for a in [2^-120, 2^120]: the exponent's sign changes, and what that
  // does to the mantissa is about right.
  friend F32x1 rough_reciprocal(F32x1 a) {
    return {__builtin_bit_cast(float, 0x7EF311C7 - __builtin_bit_cast(uint32_t, a.v))};
  }
};

#if defined(__AVX2__) && defined(__FMA__)
struct F32x8 {
  static constexpr int kLanes = 8;
  __m256 v;

  static F32x8 set(float x) { return {_mm256_set1_ps(x)}; }
  static F32x8 load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static F32x8 load_int(const int32_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static F32x8 load_byte(const uint8_t* p, int b) {
    const __m256i lanes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i top = _mm256_sll_epi32(lanes, _mm_cvtsi32_si128(24 - 8 * b));
    return {_mm256_cvtepi32_ps(_mm256_srai_epi32(top, 24))};
  }
  static F32x8 load_nibble(const uint8_t* p, int n) {
    const __m256i lanes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i low = _mm256_srl_epi32(lanes, _mm_cvtsi32_si128(4 * n));
    return {_mm256_cvtepi32_ps(_mm256_and_si256(low, _mm256_set1_epi32(15)))};
  }
  static __m256i load_2_byte_lanes(const uint8_t* p) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static F32x8 load_low_byte(const uint8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_and_si256(load_2_byte_lanes(p), _mm256_set1_epi32(255)))};
  }
  static F32x8 load_high_byte(const uint8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_srli_epi32(load_2_byte_lanes(p), 8))};
  }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store_bf16(uint16_t* p) const {
    const __m256i u = _mm256_castps_si256(v);
    const __m256i magnitude = _mm256_and_si256(u, _mm256_set1_epi32(0x7FFFFFFF));
    const __m256i tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x00800000), magnitude);
    const __m256i nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7F800000));
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7FFF)), odd);
    r = _mm256_blendv_epi8(r, _mm256_and_si256(u, _mm256_set1_epi32(INT32_MIN)), tiny);
    r = _mm256_blendv_epi8(r, _mm256_or_si256(u, _mm256_set1_epi32(0x400000)), nan);
    r = _mm256_srli_epi32(r, 16);
    r = _mm256_permute4x64_epi64(_mm256_packus_epi32(r, r), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(r));
  }

  friend F32x8 operator+(F32x8 a, F32x8 b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend F32x8 operator-(F32x8 a, F32x8 b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend F32x8 operator*(F32x8 a, F32x8 b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend F32x8 operator/(F32x8 a, F32x8 b) { return {_mm256_div_ps(a.v, b.v)}; }
  friend F32x8 fma(F32x8 a, F32x8 b, F32x8 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  friend F32x8 min(F32x8 a, F32x8 b) { return {_mm256_min_ps(a.v, b.v)}; }
  friend F32x8 max(F32x8 a, F32x8 b) { return {_mm256_max_ps(a.v, b.v)}; }
  friend F32x8 scale2(F32x8 a, F32x8 n) {
    const __m256i shift = _mm256_slli_epi32(_mm256_cvtps_epi32(n.v), 23);
    return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a.v), shift))};
  }
  friend F32x8 scale2_magic(F32x8 a, F32x8 sum) {
    const __m256i shift = _mm256_slli_epi32(_mm256_castps_si256(sum.v), 23);
    return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a.v), shift))};
  }
  friend F32x8 rough_reciprocal(F32x8 a) {
    const __m256i magic = _mm256_set1_epi32(0x7EF311C7);
    return {_mm256_castsi256_ps(_mm256_sub_epi32(magic, _mm256_castps_si256(a.v)))};
  }
};
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__)
struct F32x16 {
  static constexpr int kLanes = 16;
  __m512 v;

  static F32x16 set(float x) { return {_mm512_set1_ps(x)}; }
  static F32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static F32x16 load_int(const int32_t* p) { return {_mm512_cvtepi32_ps(_mm512_loadu_si512(p))}; }
  static F32x16 load_byte(const uint8_t* p, int b) {
    const __m512i top = _mm512_sll_epi32(_mm512_loadu_si512(p), _mm_cvtsi32_si128(24 - 8 * b));
    return {_mm512_cvtepi32_ps(_mm512_srai_epi32(top, 24))};
  }
  static F32x16 load_nibble(const uint8_t* p, int n) {
    const __m512i low = _mm512_srl_epi32(_mm512_loadu_si512(p), _mm_cvtsi32_si128(4 * n));
    return {_mm512_cvtepi32_ps(_mm512_and_si512(low, _mm512_set1_epi32(15)))};
  }
  static __m512i load_2_byte_lanes(const uint8_t* p) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F32x16 load_low_byte(const uint8_t* p) {
    return {_mm512_cvtepi32_ps(_mm512_and_si512(load_2_byte_lanes(p), _mm512_set1_epi32(255)))};
  }
  static F32x16 load_high_byte(const uint8_t* p) {
    return {_mm512_cvtepi32_ps(_mm512_srli_epi32(load_2_byte_lanes(p), 8))};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store_bf16(uint16_t* p) const {
#if defined(__AVX512BF16__)
    const __m256i half = (__m256i)_mm512_cvtneps_pbh(v);
#else
    const __m512i u = _mm512_castps_si512(v);
    const __m512i magnitude = _mm512_and_si512(u, _mm512_set1_epi32(0x7FFFFFFF));
    const __mmask16 tiny = _mm512_cmplt_epi32_mask(magnitude, _mm512_set1_epi32(0x00800000));
    const __mmask16 nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7F800000));
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7FFF)), odd);
    r = _mm512_mask_and_epi32(r, tiny, u, _mm512_set1_epi32(INT32_MIN));
    r = _mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x400000));
    const __m256i half = _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
#endif
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half);
  }

  friend F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend F32x16 operator/(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
  friend F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  friend F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
  friend F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
  friend F32x16 scale2(F32x16 a, F32x16 n) {
    const __m512i shift = _mm512_slli_epi32(_mm512_cvtps_epi32(n.v), 23);
    return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), shift))};
  }
  friend F32x16 scale2_magic(F32x16 a, F32x16 sum) {
    const __m512i shift = _mm512_slli_epi32(_mm512_castps_si512(sum.v), 23);
    return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), shift))};
  }
  friend F32x16 rough_reciprocal(F32x16 a) {
    const __m512i magic = _mm512_set1_epi32(0x7EF311C7);
    return {_mm512_castsi512_ps(_mm512_sub_epi32(magic, _mm512_castps_si512(a.v)))};
  }
};
#endif

}  // namespace
}  // namespace sis::gemm
