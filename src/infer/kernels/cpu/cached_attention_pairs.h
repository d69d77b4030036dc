// Cached attention on pairs of bf16: what the AVX512_BF16 and AMX variants share.
#pragma once

#include "infer/kernels/cpu/attention_pairs.h"

#include "infer/kernels/cpu/cached_attention_blocks.h"

namespace sis::kernels {
namespace {

// K [dim / 32][2][16][16] dwords, V [dim / 16][16][16]: a bf16 cache as it lies.
struct PairTiles {
  using Element = bf16;
  static constexpr int kPerDword = 2, kRowsAtOnce = 8;
  static constexpr DType kTileType = DType::kBf16;
  static constexpr int64_t kKeyBlock = 512;

  SIS_INLINE Vec load(const bf16* row, int c, int dim) { return PairNumbers::load(row, c, dim); }
  SIS_INLINE Vec dot(float a, Vec b, Vec sum) { return PairNumbers::dot(a, b, sum); }
  SIS_INLINE int64_t key_line(int n, int) { return n * 16; }
  SIS_INLINE int64_t value_stride(int) { return 16; }
  SIS_INLINE int64_t value_line(int c) { return c * 16; }

  // int8 to pairs of bf16, exactly: the upper halves of f32.
  SIS_INLINE void copy_pairs(const int8_t* from, int dwords, float* to) {
#pragma GCC unroll 4
    for (int i = 0; i < dwords; i += 16)
      Simd::store(to + i, PairNumbers::upper_pairs(Simd::load(from + 2 * i),
                                                   Simd::load(from + 2 * i + 16)));
  }
  SIS_INLINE void copy_tile(const std::byte* from, int dim, float* to) {
    copy_pairs(reinterpret_cast<const int8_t*>(from), 16 * dim, to);
  }
  SIS_INLINE void copy_keys(DType, const std::byte* from, int dim, float* to) {
    copy_tile(from, dim, to);
  }
  SIS_INLINE void copy_values(DType, const std::byte* from, int dim, float* to) {
    copy_tile(from, dim, to);
  }

  // Sums the weights as rounded, see PairNumbers::weigh_lanes; with scales as they are, because the
  // product with the scale is what will be rounded.
  template <bool kScaled>
  SIS_INLINE Vec weigh(const float* s, const Step& step, Vec top, float* p, Vec total) {
    for (int j = 0; j < step.keys; j += 32) {
      Vec p0 = Simd::exp2<4>(Simd::sub(Simd::load(s + j), top));
      Vec p1 = Simd::exp2<4>(Simd::sub(Simd::load(s + j + 16), top));
      if constexpr (kScaled) {
        total = Simd::add(total, Simd::add(p0, p1));
        p0 = PairNumbers::half_up(Simd::mul(p0, step.scale[j / 16]));
        p1 = PairNumbers::half_up(Simd::mul(p1, step.scale[j / 16 + 1]));
      } else {
        p0 = PairNumbers::half_up(p0);
        p1 = PairNumbers::half_up(p1);
        total = Simd::add(total, Simd::add(PairNumbers::upper(p0), PairNumbers::upper(p1)));
      }
      Simd::store(p + j / 2, PairNumbers::upper_pairs(p0, p1));
    }
    return total;
  }
};

}  // namespace
}  // namespace sis::kernels
