// AVX-512 with the bf16 and VNNI dot products: 12 rows x 32 columns of sums in 24 registers.
//
// VNNI multiplies unsigned by signed bytes: rows are kept as q + 128, and 128 * (sum of the
// column's weights) is taken off again, exactly.
#include <immintrin.h>

#include "infer/kernels/cpu/gemm_int4.h"
#include "infer/kernels/cpu/gemm_prepare.h"
#include "infer/kernels/cpu/gemm_rows.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm::avx512_bf16 {
namespace {

constexpr int kRowsInOrder = 3;  // most that read weights strictly in order

inline __m512 spread(float x) { return _mm512_set1_ps(x); }
inline __m512i spread(int32_t x) { return _mm512_set1_epi32(x); }

// In assembly because g++ 12 copies and spills the sums around the intrinsics: 24 of them run at 45
// % of the rate that these reach.
inline void add_products(__m512& sum, int32_t pair, __m512i pairs) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(spread(pair)), "v"(pairs));
}
inline void add_products(__m512i& sum, int32_t four_unsigned, __m512i fours_signed) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(spread(four_unsigned)), "v"(fours_signed));
}

inline int32_t dword_at(const void* p) {
  int32_t dword;
  __builtin_memcpy(&dword, p, 4);
  return dword;
}

inline void store(float* to, __m512 v) { _mm512_store_ps(to, v); }
inline void store(int32_t* to, __m512i v) { _mm512_store_si512(to, v); }

// Sums of R rows and 32 columns.
template <int R, class Acc>
struct Sums {
  using Vec = decltype(spread(Acc()));
  Vec of[R][2];

  [[gnu::always_inline]] inline explicit Sums(Vec first, Vec second) {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      of[r][0] = first;
      of[r][1] = second;
    });
  }
  [[gnu::always_inline]] inline void store_to(Acc* sums) const {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      store(sums + r * kBlockCols, of[r][0]);
      store(sums + r * kBlockCols + 16, of[r][1]);
    });
  }
  // x_of(r): 4 bytes of row r.
  template <class H, class X>
  [[gnu::always_inline]] inline void add(H, const __m512i (&weights)[2], const X& x_of) {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      const int32_t x = x_of(r);
      unrolled<H::begin, H::end>([&](auto j) __attribute__((always_inline)) {
        add_products(of[r][j], x, weights[j]);
      });
    });
  }
};

// -128 times the sums of a block's weights.
template <int R>
inline Sums<R, int32_t> less_offset(const Weights& w, int64_t block) {
  const auto times = [&](int64_t at) {
    return _mm512_sub_epi32(_mm512_setzero_si512(),
                            _mm512_slli_epi32(_mm512_loadu_si512(w.sums + at), 7));
  };
  return Sums<R, int32_t>(times(block * kBlockCols), times(block * kBlockCols + 16));
}

// A line of 16 columns from each of some halves.
template <class H>
inline void load(H, const uint8_t* line, __m512i (&weights)[2]) {
  unrolled<H::begin, H::end>([&](auto j) __attribute__((always_inline)) {
    weights[j] = _mm512_load_si512(line + j * kHalfBytes);
  });
}

struct Bf16 {
  using X = uint16_t;
  using Acc = float;
  using V = F32x16;
  static constexpr int kRows = 12;
  static constexpr bool kPrepared = false;
  template <int R>
  static void run(const uint16_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  float* sums) {
    Sums<R, float> acc(spread(0.0f), spread(0.0f));
    int64_t k = 0;
    for (; k + 32 <= w.in; k += 32, b += 2 * kHalfBytes)
      for_tile<(R <= kRowsInOrder), 16>(
          b, [&](int line, auto halves) __attribute__((always_inline)) {
            __m512i weights[2];
            load(halves, b + line * 64, weights);
            acc.add(halves, weights, [&](int r) { return dword_at(rows[r] + k + 2 * line); });
          });
    for (; k < w.in; k += 2, b += 64) {
      __m512i weights[2];
      load(Halves<0, 2>(), b, weights);
      acc.add(Halves<0, 2>(), weights, [&](int r) {
        return k + 1 < w.in ? dword_at(rows[r] + k) : static_cast<int32_t>(rows[r][k]);
      });
    }
    acc.store_to(sums);
  }
};

struct Int8 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x16;
  static constexpr int kRows = 12;
  static constexpr bool kPrepared = true;
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t block,
                  const uint8_t* b, int32_t* sums) {
    Sums<R, int32_t> acc = less_offset<R>(w, block);
    for (int64_t tile = 0; tile < w.k_tiles; ++tile, b += 2 * kHalfBytes)
      for_tile<(R <= kRowsInOrder), 16>(
          b, [&](int line, auto halves) __attribute__((always_inline)) {
            __m512i weights[2];
            load(halves, b + line * 64, weights);
            acc.add(halves, weights,
                    [&](int r) { return dword_at(rows[r] + tile * kTileBytes + line * 4); });
          });
    acc.store_to(sums);
  }
};

struct Int4 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x16;
  static constexpr int kRows = 8;
  static constexpr bool kPrepared = true;
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t block,
                  const uint8_t* b, int32_t* sums) {
    Sums<R, int32_t> acc = less_offset<R>(w, block);
    for (int64_t tile = 0; tile < w.k_tiles; ++tile, b += kInt4TileBytes) {
      const uint8_t* half1 = b + kInt4HalfBytes;
      const Int4Group groups[2][2] = {{Int4Group(b), Int4Group(half1)},
                                      {Int4Group(b + 32), Int4Group(half1 + 32)}};
      for_tile<(R <= kRowsInOrder), 8, 1>(
          b, [&](int line, auto halves) __attribute__((always_inline)) {
            __m512i low[2], high[2];
            unrolled<halves.begin, halves.end>([&](auto j) __attribute__((always_inline)) {
              const __m512i nibbles =
                  _mm512_load_si512(b + j * kInt4HalfBytes + kInt4StepBytes + line * 64);
              low[j] = groups[0][j].weights(int4_low(nibbles));
              high[j] = groups[1][j].weights(int4_high(nibbles));
            });
            const auto x_of = [&](int r, int group) {
              return dword_at(rows[r] + tile * kTileBytes + group * kGroup + line * 4);
            };
            acc.add(halves, low, [&](int r) { return x_of(r, 0); });
            acc.add(halves, high, [&](int r) { return x_of(r, 1); });
          });
    }
    acc.store_to(sums);
  }
};

}  // namespace

const Kernel kBf16{nullptr, multiply_rows<Bf16>, no_scratch, 1, nullptr};
const Kernel kInt8{quantise_rows<0x80>, multiply_rows<Int8>, no_scratch, 1, nullptr};
const Kernel kInt4{quantise_rows<0x80>, multiply_rows<Int4>, no_scratch, 1, nullptr};

}  // namespace sis::gemm::avx512_bf16
