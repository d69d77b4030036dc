// AVX-512 F/BW/DQ/VL without the bf16 and VNNI extensions: 12 rows x 32 columns of sums in 24
// registers. bf16 is widened to f32 on the way, int8 to 16 bits.
#include <immintrin.h>

#include "infer/kernels/cpu/gemm_int4.h"
#include "infer/kernels/cpu/gemm_prepare.h"
#include "infer/kernels/cpu/gemm_rows.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm::avx512 {
namespace {

constexpr int kRowsInOrder = 3;  // most that read weights strictly in order

// Sums of R rows and 32 columns of floats.
template <int R>
struct Sums {
  __m512 of[R][2];

  [[gnu::always_inline]] inline Sums() {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      of[r][0] = of[r][1] = _mm512_setzero_ps();
    });
  }
  [[gnu::always_inline]] inline void store_to(float* sums) const {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      _mm512_store_ps(sums + r * kBlockCols, of[r][0]);
      _mm512_store_ps(sums + r * kBlockCols + 16, of[r][1]);
    });
  }
  template <class H, class X>
  [[gnu::always_inline]] inline void add(H, const __m512 (&weights)[2], const X& x_of) {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      const __m512 x = _mm512_set1_ps(x_of(r));
      unrolled<H::begin, H::end>([&](auto j) __attribute__((always_inline)) {
        of[r][j] = _mm512_fmadd_ps(x, weights[j], of[r][j]);
      });
    });
  }
};

struct F32 {
  using X = float;
  using Acc = float;
  using V = F32x16;
  static constexpr int kRows = 12;
  static constexpr bool kPrepared = false;
  template <int R>
  static void run(const float* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  float* sums) {
    Sums<R> acc;
    const auto step = [&](int line, auto halves, int64_t k) __attribute__((always_inline)) {
      __m512 weights[2];
      unrolled<halves.begin, halves.end>([&](auto j) __attribute__((always_inline)) {
        weights[j] = _mm512_load_ps(b + j * kHalfBytes + line * 64);
      });
      acc.add(halves, weights, [&](int r) { return rows[r][k]; });
    };
    int64_t k = 0;
    for (; k + 16 <= w.in; k += 16, b += 2 * kHalfBytes)
      for_tile<(R <= kRowsInOrder), 16>(
          b, [&](int line, auto halves)
                 __attribute__((always_inline)) { step(line, halves, k + line); });
    for (int line = 0; k < w.in; ++k, ++line) step(line, Halves<0, 2>{}, k);
    acc.store_to(sums);
  }
};

struct Bf16 {
  using X = uint16_t;
  using Acc = float;
  using V = F32x16;
  static constexpr int kRows = 12;
  static constexpr bool kPrepared = false;
  template <int R>
  static void run(const uint16_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  float* sums) {
    const __m512i upper = _mm512_set1_epi32(static_cast<int32_t>(0xFFFF0000));
    Sums<R> acc;
    const auto step = [&](int line, auto halves, int64_t k) __attribute__((always_inline)) {
      __m512 even[2], odd[2];
      unrolled<halves.begin, halves.end>([&](auto j) __attribute__((always_inline)) {
        const __m512i pair = _mm512_load_si512(b + j * kHalfBytes + line * 64);
        even[j] = _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
        odd[j] = _mm512_castsi512_ps(_mm512_and_si512(pair, upper));
      });
      acc.add(halves, even, [&](int r) { return bf16_value(rows[r][k]); });
      if (k + 1 < w.in) acc.add(halves, odd, [&](int r) { return bf16_value(rows[r][k + 1]); });
    };
    int64_t k = 0;
    for (; k + 32 <= w.in; k += 32, b += 2 * kHalfBytes)
      for_tile<(R <= kRowsInOrder), 16>(
          b, [&](int line, auto halves)
                 __attribute__((always_inline)) { step(line, halves, k + 2 * line); });
    for (int line = 0; k < w.in; k += 2, ++line) step(line, Halves<0, 2>{}, k);
    acc.store_to(sums);
  }
};

// Four quantised elements of a row in 16 bits, for each column of two lanes.
inline __m512i four_of_row(const uint8_t* at) {
  int32_t four;
  __builtin_memcpy(&four, at, 4);
  return _mm512_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
}

// Sums of R rows; of[r][j]: columns 8j .. 8j+7, two neighbouring lanes each.
template <int R>
struct IntSums {
  __m512i of[R][4];

  [[gnu::always_inline]] inline IntSums() {
    unrolled<0, R * 4>([&](auto i) __attribute__((always_inline)) {
      of[i / 4][i % 4] = _mm512_setzero_si512();
    });
  }
  [[gnu::always_inline]] inline void store_to(int32_t* sums) const {
    unrolled<0, R * 4>([&](auto i) __attribute__((always_inline)) {
      const __m512i pairs = of[i / 4][i % 4];
      const __m512i sum = _mm512_add_epi32(pairs, _mm512_srli_epi64(pairs, 32));
      _mm256_store_si256(reinterpret_cast<__m256i*>(sums + i * 8), _mm512_cvtepi64_epi32(sum));
    });
  }
  // weights[2j], weights[2j+1]: the columns of half j; x_of(r): four elements of row r.
  template <class H, class X>
  [[gnu::always_inline]] inline void add(H, const __m512i (&weights)[4], const X& x_of) {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      const __m512i x = four_of_row(x_of(r));
      unrolled<2 * H::begin, 2 * H::end>([&](auto j) __attribute__((always_inline)) {
        of[r][j] = _mm512_add_epi32(of[r][j], _mm512_madd_epi16(x, weights[j]));
      });
    });
  }
};

struct Int8 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x16;
  static constexpr int kRows = 6;
  static constexpr bool kPrepared = true;
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  int32_t* sums) {
    IntSums<R> acc;
    for (int64_t tile = 0; tile < w.k_tiles; ++tile, b += 2 * kHalfBytes)
      for_tile<(R <= kRowsInOrder), 16>(
          b, [&](int line, auto halves) __attribute__((always_inline)) {
            __m512i weights[4];
            unrolled<2 * halves.begin, 2 * halves.end>([&](auto j) __attribute__((always_inline)) {
              weights[j] = _mm512_cvtepi8_epi16(_mm256_load_si256(reinterpret_cast<const __m256i*>(
                  b + j / 2 * kHalfBytes + line * 64 + j % 2 * 32)));
            });
            acc.add(halves, weights, [&](int r) { return rows[r] + tile * kTileBytes + line * 4; });
          });
    acc.store_to(sums);
  }
};

struct Int4 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x16;
  static constexpr int kRows = 4;
  static constexpr bool kPrepared = true;
  static void unpack(const uint8_t* b, int64_t tiles, uint8_t* to) {
    for (int64_t half = 0; half < 2 * tiles; ++half, b += kInt4HalfBytes, to += kHalfBytes) {
      const Int4Group groups[2] = {Int4Group(b), Int4Group(b + 32)};
      Fetch(b + kInt4TileBytes).lines(9);
      for (int line = 0; line < 8; ++line) {
        const __m512i nibbles = _mm512_load_si512(b + kInt4StepBytes + line * 64);
        _mm512_store_si512(to + line * 64, groups[0].weights(int4_low(nibbles)));
        _mm512_store_si512(to + (8 + line) * 64, groups[1].weights(int4_high(nibbles)));
      }
    }
  }
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  int32_t* sums) {
    IntSums<R> acc;
    for (int64_t tile = 0; tile < w.k_tiles; ++tile, b += kInt4TileBytes) {
      const uint8_t* half1 = b + kInt4HalfBytes;
      const Int4Group groups[2][2] = {{Int4Group(b), Int4Group(half1)},
                                      {Int4Group(b + 32), Int4Group(half1 + 32)}};
      for_tile<(R <= kRowsInOrder), 8, 1>(
          b, [&](int line, auto halves) __attribute__((always_inline)) {
            __m512i nibbles[2];
            unrolled<halves.begin, halves.end>([&](auto j) __attribute__((always_inline)) {
              nibbles[j] = _mm512_load_si512(b + j * kInt4HalfBytes + kInt4StepBytes + line * 64);
            });
            for (int g = 0; g < 2; ++g) {
              __m512i weights[4];
              unrolled<halves.begin, halves.end>([&](auto j) __attribute__((always_inline)) {
                const __m512i bytes =
                    groups[g][j].weights(g == 0 ? int4_low(nibbles[j]) : int4_high(nibbles[j]));
                weights[2 * j] = _mm512_cvtepi8_epi16(_mm512_castsi512_si256(bytes));
                weights[2 * j + 1] = _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64(bytes, 1));
              });
              acc.add(halves, weights,
                      [&](int r) { return rows[r] + tile * kTileBytes + g * kGroup + line * 4; });
            }
          });
    }
    acc.store_to(sums);
  }
};

}  // namespace

const Kernel kF32{nullptr, multiply_rows<F32>, no_scratch, 1, nullptr};
const Kernel kBf16{nullptr, multiply_rows<Bf16>, no_scratch, 1, nullptr};
const Kernel kInt8{quantise_rows<>, multiply_rows<Int8>, no_scratch, 1, nullptr};
const Kernel kInt4{quantise_rows<>, multiply_unpacked<Int4, Int8>, unpacked_bytes, 1, nullptr};

}  // namespace sis::gemm::avx512
