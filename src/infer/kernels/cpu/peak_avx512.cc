#include <immintrin.h>

#include "infer/kernels/peak.h"

namespace sis::kernels::peak {

double avx512_f32(int rounds) {
  __m512 sums[12], a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  for (int r = 0; r < rounds; ++r) {
    for (auto& sum : sums) sum = _mm512_fmadd_ps(a, b, sum);
    asm volatile("" : "+v"(a), "+v"(b));
  }
  __m512 total = sums[0];
  for (int i = 1; i < 12; ++i) total = _mm512_add_ps(total, sums[i]);
  asm volatile("" ::"v"(total));
  return 12.0 * 16 * 2 * rounds;
}

}  // namespace sis::kernels::peak
