// Rows as vectors: walks, tails and sums. The vectors are those of whichever simd_*.h came first,
// AVX2 where none did.
#pragma once

#ifndef SIS_SIMD
#include "infer/kernels/cpu/simd_avx2.h"
#endif

namespace sis::kernels {
namespace {

constexpr int kLanes = Simd::kLanes;
using Vec = Simd::Vec;

// body(c, n) for c in steps of a vector; n lanes are left at c (kLanes but for the last).
template <class Body>
SIS_INLINE void each_vector(int64_t begin, int64_t end, Body&& body) {
  int64_t c = begin;
  for (; c + kLanes <= end; c += kLanes) body(c, kLanes);
  if (c < end) body(c, static_cast<int>(end - c));
}
template <class T>
SIS_INLINE Vec load(const T* p, int n) {
  return n == kLanes ? Simd::load(p) : Simd::load_n(p, n);
}
template <class T>
SIS_INLINE void store(T* p, Vec v, int n) {
  if (n == kLanes)
    Simd::store(p, v);
  else
    Simd::store_n(p, v, n);
}

// join(i, v, n) for the vectors v of a row, n lanes of them real and the rest zero; i in 0..3 names
// one of four running sums, so that additions need not wait for each other.
template <class Join>
SIS_INLINE void each_in_four(const float* x, int64_t cols, Join&& join) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= cols; c += 4 * kLanes) {
    join(0, Simd::load(x + c), kLanes);
    join(1, Simd::load(x + c + kLanes), kLanes);
    join(2, Simd::load(x + c + 2 * kLanes), kLanes);
    join(3, Simd::load(x + c + 3 * kLanes), kLanes);
  }
  for (; c + kLanes <= cols; c += kLanes) join(0, Simd::load(x + c), kLanes);
  if (c < cols)
    join(1, Simd::load_n(x + c, static_cast<int>(cols - c)), static_cast<int>(cols - c));
}

struct FourSums {
  Vec sum[4] = {Simd::zero(), Simd::zero(), Simd::zero(), Simd::zero()};
  [[gnu::always_inline]] inline float total() const {
    return Simd::reduce_add(Simd::add(Simd::add(sum[0], sum[1]), Simd::add(sum[2], sum[3])));
  }
};

}  // namespace
}  // namespace sis::kernels
