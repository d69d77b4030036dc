// AVX2 + FMA. bf16 weights and rows are widened to f32 on the way; int8 goes through 16-bit
// products, which cannot overflow where the 8-bit multiply-add would saturate.
#include <immintrin.h>

#include <type_traits>

#include "infer/kernels/cpu/gemm_prepare.h"
#include "infer/kernels/cpu/gemm_rows.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm::avx2 {
namespace {

// Eight lanes of a 64-byte line.
inline __m256i half_line(const uint8_t* line, int which) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(line) + which);
}

// Sixteen registers hold the sums of R rows and both halves of a block, or of twice as many rows
// and one half. part(halves, fetched): all of K for these halves; `fetched` lines for each line.
template <bool kBothHalves, class Part>
[[gnu::always_inline]] inline void in_parts(const Part& part) {
  if constexpr (kBothHalves) {
    part(Halves<0, 2>{}, std::integral_constant<int, 1>{});
  } else {
    part(Halves<0, 1>{}, std::integral_constant<int, 2>{});
    part(Halves<1, 2>{}, std::integral_constant<int, 0>{});  // what the first part fetched
  }
}

// step(j, line) for each line of the tile's halves, j a constant.
template <int kLines, int kHeaderLines = 0, class H, class Fetched, class Step>
[[gnu::always_inline]] inline void for_lines(const uint8_t* tile, H, Fetched, const Step& step) {
  Fetch next(tile + 2 * (kLines + kHeaderLines) * 64);
  unrolled<H::begin, H::end>([&](auto j) __attribute__((always_inline)) {
    for_half<kLines, kHeaderLines, Fetched::value>(
        next, j, [&](int line, auto half) __attribute__((always_inline)) { step(half, line); });
  });
}

// Sums of R rows and some halves; of[r][2j], of[r][2j + 1]: the columns of half j.
template <int R, class H>
struct Sums {
  __m256 of[R][4];

  [[gnu::always_inline]] inline Sums() {
    each([&](auto r, auto i) __attribute__((always_inline)) { of[r][i] = _mm256_setzero_ps(); });
  }
  [[gnu::always_inline]] inline void store_to(float* sums) const {
    each([&](auto r, auto i) __attribute__((always_inline)) {
      _mm256_store_ps(sums + r * kBlockCols + i * 8, of[r][i]);
    });
  }
  template <class J, class X>
  [[gnu::always_inline]] inline void add(J j, __m256 b0, __m256 b1, const X& x_of) {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      const __m256 x = _mm256_set1_ps(x_of(r));
      of[r][2 * j] = _mm256_fmadd_ps(x, b0, of[r][2 * j]);
      of[r][2 * j + 1] = _mm256_fmadd_ps(x, b1, of[r][2 * j + 1]);
    });
  }

 private:
  template <class F>
  [[gnu::always_inline]] static inline void each(const F& f) {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      unrolled<2 * H::begin, 2 * H::end>([&](auto i) __attribute__((always_inline)) { f(r, i); });
    });
  }
};

struct F32 {
  using X = float;
  using Acc = float;
  using V = F32x8;
  static constexpr int kRows = 6;
  static constexpr bool kPrepared = false;
  template <int R>
  static void run(const float* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  float* sums) {
    in_parts<(R <= 3)>([&](auto halves, auto fetched) __attribute__((always_inline)) {
      Sums<R, decltype(halves)> acc;
      const uint8_t* tile = b;
      int64_t k = 0;
      const auto step = [&](auto j, int line) __attribute__((always_inline)) {
        const uint8_t* at = tile + j * kHalfBytes + line * 64;
        acc.add(j, _mm256_castsi256_ps(half_line(at, 0)), _mm256_castsi256_ps(half_line(at, 1)),
                [&](int r) { return rows[r][k + line]; });
      };
      for (; k + 16 <= w.in; k += 16, tile += 2 * kHalfBytes)
        for_lines<16>(tile, halves, fetched, step);
      for (int line = 0; k + line < w.in; ++line)
        unrolled<halves.begin, halves.end>([&](auto j) { step(j, line); });
      acc.store_to(sums);
    });
  }
};

struct Bf16 {
  using X = uint16_t;
  using Acc = float;
  using V = F32x8;
  static constexpr int kRows = 4;
  static constexpr bool kPrepared = false;
  template <int R>
  static void run(const uint16_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  float* sums) {
    in_parts<(R <= 2)>([&](auto halves, auto fetched) __attribute__((always_inline)) {
      const __m256i upper = _mm256_set1_epi32(static_cast<int32_t>(0xFFFF0000));
      const auto even = [](__m256i pairs) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
      };
      const auto odd = [&](__m256i pairs) {
        return _mm256_castsi256_ps(_mm256_and_si256(pairs, upper));
      };
      Sums<R, decltype(halves)> acc;
      const uint8_t* tile = b;
      int64_t k = 0;
      const auto step = [&](auto j, int line) __attribute__((always_inline)) {
        const uint8_t* at = tile + j * kHalfBytes + line * 64;
        const int64_t first = k + 2 * line;
        const __m256i b0 = half_line(at, 0), b1 = half_line(at, 1);
        acc.add(j, even(b0), even(b1), [&](int r) { return bf16_value(rows[r][first]); });
        if (first + 1 < w.in)
          acc.add(j, odd(b0), odd(b1), [&](int r) { return bf16_value(rows[r][first + 1]); });
      };
      for (; k + 32 <= w.in; k += 32, tile += 2 * kHalfBytes)
        for_lines<16>(tile, halves, fetched, step);
      for (int line = 0; k + 2 * line < w.in; ++line)
        unrolled<halves.begin, halves.end>([&](auto j) { step(j, line); });
      acc.store_to(sums);
    });
  }
};

// Four quantised elements of a row in 16 bits, for each column of two lanes.
inline __m256i four_of_row(const uint8_t* at) {
  int32_t four;
  __builtin_memcpy(&four, at, 4);
  return _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
}

// Sums of R rows and some halves; of[r][4j + i]: columns 4i .. 4i+3 of half j, two neighbouring
// lanes each.
template <int R, class H>
struct IntSums {
  __m256i of[R][8];

  [[gnu::always_inline]] inline IntSums() {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      unrolled<4 * H::begin, 4 * H::end>([&](auto i) __attribute__((always_inline)) {
        of[r][i] = _mm256_setzero_si256();
      });
    });
  }
  [[gnu::always_inline]] inline void store_to(int32_t* sums) const {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      unrolled<2 * H::begin, 2 * H::end>([&](auto i) __attribute__((always_inline)) {
        // hadd works within 128-bit lanes: columns 0 1 4 5 2 3 6 7.
        const __m256i sum =
            _mm256_permute4x64_epi64(_mm256_hadd_epi32(of[r][2 * i], of[r][2 * i + 1]), 0xD8);
        _mm256_store_si256(reinterpret_cast<__m256i*>(sums + r * kBlockCols + i * 8), sum);
      });
    });
  }
  // weights[i]: what of[r][first + i] adds up; x_of(r): four elements of row r.
  template <int kFirst, int kVectors, class X>
  [[gnu::always_inline]] inline void add(const __m256i (&weights)[kVectors], const X& x_of) {
    unrolled<0, R>([&](auto r) __attribute__((always_inline)) {
      const __m256i x = four_of_row(x_of(r));
      unrolled<0, kVectors>([&](auto i) __attribute__((always_inline)) {
        __m256i& sum = of[r][kFirst + i];
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, weights[i]));
      });
    });
  }
};

struct Int8 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x8;
  static constexpr int kRows = 2;
  static constexpr bool kPrepared = true;
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  int32_t* sums) {
    in_parts<R == 1>([&](auto halves, auto fetched) __attribute__((always_inline)) {
      IntSums<R, decltype(halves)> acc;
      const uint8_t* tile = b;
      for (int64_t t = 0; t < w.k_tiles; ++t, tile += 2 * kHalfBytes)
        for_lines<16>(
            tile, halves, fetched, [&](auto j, int line) __attribute__((always_inline)) {
              const auto* at = reinterpret_cast<const __m128i*>(tile + j * kHalfBytes + line * 64);
              __m256i weights[4];
              for (int i = 0; i < 4; ++i) weights[i] = _mm256_cvtepi8_epi16(_mm_load_si128(at + i));
              acc.template add<4 * j>(weights,
                                      [&](int r) { return rows[r] + t * kTileBytes + line * 4; });
            });
      acc.store_to(sums);
    });
  }
};

// 8 columns of {step, shift}, as gemm_int4.h has them for 16.
struct Int4Group {
  __m256i step, shift;
  explicit Int4Group(const uint8_t* pairs) {
    const __m256i lanes =
        _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(pairs)));
    const __m256i low = _mm256_and_si256(lanes, _mm256_set1_epi32(255));
    step = _mm256_or_si256(low, _mm256_slli_epi32(low, 16));
    const __m256i two = _mm256_or_si256(_mm256_srli_epi32(lanes, 8),
                                        _mm256_and_si256(lanes, _mm256_set1_epi32(0xFF00)));
    shift = _mm256_or_si256(two, _mm256_slli_epi32(two, 16));
  }
  __m256i weights(__m256i n) const { return _mm256_sub_epi8(_mm256_mullo_epi16(n, step), shift); }
};

// Weights of one group in 8 columns of a line: part 0 or 1 of them.
inline __m256i int4_weights(const Int4Group& group, const uint8_t* line, int part, int g) {
  const __m256i nibbles = half_line(line, part);
  const __m256i n = g == 0 ? nibbles : _mm256_srli_epi16(nibbles, 4);
  return group.weights(_mm256_and_si256(n, _mm256_set1_epi8(15)));
}

struct Int4 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x8;
  static constexpr int kRows = 2;
  static constexpr bool kPrepared = true;
  static void unpack(const uint8_t* b, int64_t tiles, uint8_t* to) {
    for (int64_t half = 0; half < 2 * tiles; ++half, b += kInt4HalfBytes, to += kHalfBytes) {
      Fetch(b + 2 * kInt4HalfBytes).lines(9);
      for (int part = 0; part < 2; ++part)
        for (int g = 0; g < 2; ++g) {
          const Int4Group group(b + g * 32 + part * 16);
          for (int line = 0; line < 8; ++line)
            _mm256_store_si256(reinterpret_cast<__m256i*>(to + (g * 8 + line) * 64 + part * 32),
                               int4_weights(group, b + kInt4StepBytes + line * 64, part, g));
        }
    }
  }
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  int32_t* sums) {
    in_parts<R == 1>([&](auto halves, auto fetched) __attribute__((always_inline)) {
      IntSums<R, decltype(halves)> acc;
      const uint8_t* tile = b;
      for (int64_t t = 0; t < w.k_tiles; ++t, tile += 2 * kInt4HalfBytes)
        for_lines<8, 1>(
            tile, halves, fetched, [&](auto j, int line) __attribute__((always_inline)) {
              const uint8_t* half = tile + j * kInt4HalfBytes;
              unrolled<0, 2>([&](auto part) __attribute__((always_inline)) {
                for (int g = 0; g < 2; ++g) {
                  const Int4Group group(half + g * 32 + part * 16);
                  const __m256i bytes =
                      int4_weights(group, half + kInt4StepBytes + line * 64, part, g);
                  const __m256i weights[2] = {
                      _mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes)),
                      _mm256_cvtepi8_epi16(_mm256_extracti128_si256(bytes, 1))};
                  acc.template add<4 * j + 2 * part>(weights, [&](int r) {
                    return rows[r] + t * kTileBytes + g * kGroup + line * 4;
                  });
                }
              });
            });
      acc.store_to(sums);
    });
  }
};

}  // namespace

const Kernel kF32{nullptr, multiply_rows<F32>, no_scratch, 1, nullptr};
const Kernel kBf16{nullptr, multiply_rows<Bf16>, no_scratch, 1, nullptr};
const Kernel kInt8{quantise_rows<>, multiply_rows<Int8>, no_scratch, 1, nullptr};
const Kernel kInt4{quantise_rows<>, multiply_unpacked<Int4, Int8>, unpacked_bytes, 1, nullptr};

}  // namespace sis::gemm::avx2
