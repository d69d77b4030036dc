// int4 weights to int8 in AVX-512 registers: n * step - shift, two bytes to a 16-bit product, which
// cannot carry as n * step fits into a byte. gemm.h has the layout.
//
// In an unnamed namespace on purpose, see gemm_simd.h.
#pragma once

#include <immintrin.h>

#include "infer/kernels/gemm.h"

namespace sis::gemm {
namespace {

constexpr int64_t kInt4TileBytes = 2 * kInt4HalfBytes;

// Steps and shifts of 16 columns of one group, ready for lines of 4 bytes per column.
struct Int4Group {
  __m512i step;   // in 16-bit lanes
  __m512i shift;  // in bytes

  // `pairs`: 16 columns of {step, shift}.
  explicit Int4Group(const uint8_t* pairs) {
    const __m512i lanes =
        _mm512_cvtepu16_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(pairs)));
    step = _mm512_shuffle_epi8(lanes, of_four(static_cast<int32_t>(0x80008000)));
    shift = _mm512_shuffle_epi8(lanes, of_four(0x01010101));
  }
  // `n` has a nibble in each byte.
  __m512i weights(__m512i n) const { return _mm512_sub_epi8(_mm512_mullo_epi16(n, step), shift); }

 private:
  // The same bytes of each 4-byte lane; the shuffle counts within 16 bytes and takes 0x80 for 0.
  static __m512i of_four(int32_t bytes) {
    const __m128i lanes = _mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C);
    return _mm512_broadcast_i32x4(_mm_add_epi8(_mm_set1_epi32(bytes), lanes));
  }
};

inline __m512i int4_low(__m512i line) { return _mm512_and_si512(line, _mm512_set1_epi8(15)); }
inline __m512i int4_high(__m512i line) {
  return _mm512_and_si512(_mm512_srli_epi16(line, 4), _mm512_set1_epi8(15));
}

}  // namespace
}  // namespace sis::gemm
