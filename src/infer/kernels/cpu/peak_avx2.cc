#include <immintrin.h>

#include "infer/kernels/peak.h"

namespace sis::kernels::peak {

double avx2_f32(int rounds) {
  __m256 sums[12], a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
  for (auto& sum : sums) sum = _mm256_setzero_ps();
  for (int r = 0; r < rounds; ++r) {
    for (auto& sum : sums) sum = _mm256_fmadd_ps(a, b, sum);
    asm volatile("" : "+x"(a), "+x"(b));
  }
  __m256 total = sums[0];
  for (int i = 1; i < 12; ++i) total = _mm256_add_ps(total, sums[i]);
  asm volatile("" ::"x"(total));
  return 12.0 * 8 * 2 * rounds;
}

double avx2_int8(int rounds) {
  __m256i sums[12], a = _mm256_set1_epi16(3), b = _mm256_set1_epi16(2);
  for (auto& sum : sums) sum = _mm256_setzero_si256();
  for (int r = 0; r < rounds; ++r) {
    for (auto& sum : sums) {
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
      asm volatile("" : "+x"(a));
    }
  }
  __m256i total = sums[0];
  for (int i = 1; i < 12; ++i) total = _mm256_add_epi32(total, sums[i]);
  asm volatile("" ::"x"(total));
  return 12.0 * 16 * 2 * rounds;
}

}  // namespace sis::kernels::peak
