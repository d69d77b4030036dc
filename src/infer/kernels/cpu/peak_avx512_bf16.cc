#include <immintrin.h>

#include "infer/kernels/peak.h"

namespace sis::kernels::peak {

double avx512_bf16(int rounds) {
  __m512 sums[12];
  __m512i a = _mm512_set1_epi16(0x3F00), b = _mm512_set1_epi16(0x3E80);
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  for (int r = 0; r < rounds; ++r) {
    for (auto& sum : sums) sum = _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
    asm volatile("" : "+v"(a), "+v"(b));
  }
  __m512 total = sums[0];
  for (int i = 1; i < 12; ++i) total = _mm512_add_ps(total, sums[i]);
  asm volatile("" ::"v"(total));
  return 12.0 * 32 * 2 * rounds;
}

double avx512_vnni(int rounds) {
  __m512i sums[12], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(2);
  for (auto& sum : sums) sum = _mm512_setzero_si512();
  for (int r = 0; r < rounds; ++r) {
    for (auto& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
    asm volatile("" : "+v"(a), "+v"(b));
  }
  __m512i total = sums[0];
  for (int i = 1; i < 12; ++i) total = _mm512_add_epi32(total, sums[i]);
  asm volatile("" ::"v"(total));
  return 12.0 * 64 * 2 * rounds;
}

}  // namespace sis::kernels::peak
