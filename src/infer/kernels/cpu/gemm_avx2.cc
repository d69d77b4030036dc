// AVX2 + FMA. bf16 weights and rows are widened to f32 on the way; int8 goes through 16-bit
// products, which cannot overflow where the 8-bit multiply-add would saturate.
#include <immintrin.h>

#include "infer/kernels/cpu/gemm_prepare.h"
#include "infer/kernels/cpu/gemm_rows.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm::avx2 {
namespace {

// Eight lanes of a 64-byte line.
inline __m256i half_line(const uint8_t* line, int which) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(line) + which);
}

struct F32 {
  using X = float;
  using Acc = float;
  using V = F32x8;
  static constexpr int kRows = 6;
  static constexpr bool kPrepared = false;
  template <int R>
  static void run(const float* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  float* sums) {
    for (int half = 0; half < 2; ++half) {
      __m256 acc[R][2];
      for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
      for (int64_t k = 0; k < w.in; ++k) {
        const uint8_t* line = b + (k / 16 * 2 + half) * kHalfBytes + k % 16 * 64;
        fetch_ahead(line);
        const __m256 b0 = _mm256_castsi256_ps(half_line(line, 0));
        const __m256 b1 = _mm256_castsi256_ps(half_line(line, 1));
        for (int r = 0; r < R; ++r) {
          const __m256 x = _mm256_broadcast_ss(rows[r] + k);
          acc[r][0] = _mm256_fmadd_ps(x, b0, acc[r][0]);
          acc[r][1] = _mm256_fmadd_ps(x, b1, acc[r][1]);
        }
      }
      for (int r = 0; r < R; ++r)
        for (int j = 0; j < 2; ++j)
          _mm256_store_ps(sums + r * kBlockCols + half * 16 + j * 8, acc[r][j]);
    }
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
    const __m256i upper = _mm256_set1_epi32(static_cast<int32_t>(0xFFFF0000));
    for (int half = 0; half < 2; ++half) {
      __m256 acc[R][2];
      for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
      for (int64_t k = 0; k < w.in; k += 2) {
        const uint8_t* line = b + (k / 32 * 2 + half) * kHalfBytes + k % 32 * 32;
        fetch_ahead(line);
        const __m256i pair0 = half_line(line, 0), pair1 = half_line(line, 1);
        const __m256 even0 = _mm256_castsi256_ps(_mm256_slli_epi32(pair0, 16));
        const __m256 even1 = _mm256_castsi256_ps(_mm256_slli_epi32(pair1, 16));
        const __m256 odd0 = _mm256_castsi256_ps(_mm256_and_si256(pair0, upper));
        const __m256 odd1 = _mm256_castsi256_ps(_mm256_and_si256(pair1, upper));
        const bool both = k + 1 < w.in;
        for (int r = 0; r < R; ++r) {
          const __m256 x0 = _mm256_set1_ps(bf16_value(rows[r][k]));
          const __m256 x1 = _mm256_set1_ps(both ? bf16_value(rows[r][k + 1]) : 0.0f);
          acc[r][0] = _mm256_fmadd_ps(x0, even0, acc[r][0]);
          acc[r][1] = _mm256_fmadd_ps(x0, even1, acc[r][1]);
          acc[r][0] = _mm256_fmadd_ps(x1, odd0, acc[r][0]);
          acc[r][1] = _mm256_fmadd_ps(x1, odd1, acc[r][1]);
        }
      }
      for (int r = 0; r < R; ++r)
        for (int j = 0; j < 2; ++j)
          _mm256_store_ps(sums + r * kBlockCols + half * 16 + j * 8, acc[r][j]);
    }
  }
};

// Sums of 8 columns from two vectors of 4, two neighbouring lanes each.
inline void store_8(int32_t* sums, __m256i a, __m256i b) {
  // hadd works within 128-bit lanes: columns 0 1 4 5 2 3 6 7.
  const __m256i sum = _mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xD8);
  _mm256_store_si256(reinterpret_cast<__m256i*>(sums), sum);
}

struct Int8 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x8;
  static constexpr int kRows = 2;
  static constexpr bool kPrepared = true;
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  int32_t* sums) {
    for (int half = 0; half < 2; ++half) {
      // acc[r][j]: columns 4j .. 4j+3, two partial sums each.
      __m256i acc[R][4];
      for (int r = 0; r < R; ++r)
        for (int j = 0; j < 4; ++j) acc[r][j] = _mm256_setzero_si256();
      for (int64_t k = 0; k < w.in; k += 4) {
        const uint8_t* line = b + (k / 64 * 2 + half) * kHalfBytes + k % 64 * 16;
        fetch_ahead(line);
        __m256i weights[4];
        for (int j = 0; j < 4; ++j)
          weights[j] =
              _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(line) + j));
        for (int r = 0; r < R; ++r) {
          int32_t four;
          __builtin_memcpy(&four, rows[r] + k, 4);
          const __m256i x = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
          for (int j = 0; j < 4; ++j)
            acc[r][j] = _mm256_add_epi32(acc[r][j], _mm256_madd_epi16(x, weights[j]));
        }
      }
      for (int r = 0; r < R; ++r)
        for (int j = 0; j < 4; j += 2)
          store_8(sums + r * kBlockCols + half * 16 + j * 4, acc[r][j], acc[r][j + 1]);
    }
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

struct Int4 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x8;
  static constexpr int kRows = 2;
  static constexpr bool kPrepared = true;
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  int32_t* sums) {
    const __m256i nibble = _mm256_set1_epi8(15);
    // 8 columns at a time, as int8: acc[r][j] are columns 4j .. 4j+3, two partial sums each.
    for (int64_t part = 0; part < 4; ++part) {
      __m256i acc[R][2];
      for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
      for (int64_t tile = 0; tile < w.k_tiles; ++tile) {
        const uint8_t* half = b + (tile * 2 + part / 2) * kInt4HalfBytes;
        const Int4Group groups[2] = {Int4Group(half + part % 2 * 16),
                                     Int4Group(half + 32 + part % 2 * 16)};
        fetch_ahead(half);
        for (int64_t line = 0; line < 8; ++line) {
          const uint8_t* both = half + kInt4StepBytes + line * 64;
          fetch_ahead(both);
          const __m256i nibbles = half_line(both, static_cast<int>(part % 2));
          for (int g = 0; g < 2; ++g) {
            const __m256i n = g == 0 ? nibbles : _mm256_srli_epi16(nibbles, 4);
            const __m256i bytes = groups[g].weights(_mm256_and_si256(n, nibble));
            const __m256i low = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes));
            const __m256i high = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(bytes, 1));
            for (int r = 0; r < R; ++r) {
              int32_t four;
              __builtin_memcpy(&four, rows[r] + tile * kTileBytes + g * kGroup + line * 4, 4);
              const __m256i x = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
              acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(x, low));
              acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(x, high));
            }
          }
        }
      }
      for (int r = 0; r < R; ++r) store_8(sums + r * kBlockCols + part * 8, acc[r][0], acc[r][1]);
    }
  }
};

}  // namespace

const Kernel kF32{nullptr, multiply_rows<F32>, no_scratch, 1, nullptr};
const Kernel kBf16{nullptr, multiply_rows<Bf16>, no_scratch, 1, nullptr};
const Kernel kInt8{quantise_rows<>, multiply_rows<Int8>, no_scratch, 1, nullptr};
const Kernel kInt4{quantise_rows<>, multiply_rows<Int4>, no_scratch, 1, nullptr};

}  // namespace sis::gemm::avx2
