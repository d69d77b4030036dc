// AVX-512 F/BW/DQ/VL without the bf16 and VNNI extensions: 12 rows x 32 columns of sums in 24
// registers. bf16 is widened to f32 on the way, int8 to 16 bits.
#include <immintrin.h>

#include "infer/kernels/cpu/gemm_int4.h"
#include "infer/kernels/cpu/gemm_prepare.h"
#include "infer/kernels/cpu/gemm_rows.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm::avx512 {
namespace {

struct F32 {
  using X = float;
  using Acc = float;
  using V = F32x16;
  static constexpr int kRows = 12;
  static constexpr bool kPrepared = false;
  template <int R>
  static void run(const float* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  float* sums) {
    __m512 acc[R][2];
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
    for (int64_t k = 0; k < w.in; ++k) {
      const uint8_t* line = b + k / 16 * 2 * kHalfBytes + k % 16 * 64;
      fetch_ahead(line);
      fetch_ahead(line + kHalfBytes);
      const __m512 b0 = _mm512_load_ps(line), b1 = _mm512_load_ps(line + kHalfBytes);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const __m512 x = _mm512_set1_ps(rows[r][k]);
        acc[r][0] = _mm512_fmadd_ps(x, b0, acc[r][0]);
        acc[r][1] = _mm512_fmadd_ps(x, b1, acc[r][1]);
      }
    }
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < 2; ++j) _mm512_store_ps(sums + r * kBlockCols + j * 16, acc[r][j]);
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
    __m512 acc[R][2];
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
    for (int64_t k = 0; k < w.in; k += 2) {
      const uint8_t* line = b + k / 32 * 2 * kHalfBytes + k % 32 * 32;
      fetch_ahead(line);
      fetch_ahead(line + kHalfBytes);
      const __m512i pair0 = _mm512_load_si512(line), pair1 = _mm512_load_si512(line + kHalfBytes);
      const __m512 even0 = _mm512_castsi512_ps(_mm512_slli_epi32(pair0, 16));
      const __m512 even1 = _mm512_castsi512_ps(_mm512_slli_epi32(pair1, 16));
      const __m512 odd0 = _mm512_castsi512_ps(_mm512_and_si512(pair0, upper));
      const __m512 odd1 = _mm512_castsi512_ps(_mm512_and_si512(pair1, upper));
      const bool both = k + 1 < w.in;
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const __m512 x0 = _mm512_set1_ps(bf16_value(rows[r][k]));
        const __m512 x1 = _mm512_set1_ps(both ? bf16_value(rows[r][k + 1]) : 0.0f);
        acc[r][0] = _mm512_fmadd_ps(x0, even0, acc[r][0]);
        acc[r][1] = _mm512_fmadd_ps(x0, even1, acc[r][1]);
        acc[r][0] = _mm512_fmadd_ps(x1, odd0, acc[r][0]);
        acc[r][1] = _mm512_fmadd_ps(x1, odd1, acc[r][1]);
      }
    }
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < 2; ++j) _mm512_store_ps(sums + r * kBlockCols + j * 16, acc[r][j]);
  }
};

// acc[r][j]: columns 8j .. 8j+7, two neighbouring lanes each.
template <int R>
inline void store_sums(const __m512i (&acc)[R][4], int32_t* sums) {
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < 4; ++j) {
      const __m512i sum = _mm512_add_epi32(acc[r][j], _mm512_srli_epi64(acc[r][j], 32));
      _mm256_store_si256(reinterpret_cast<__m256i*>(sums + r * kBlockCols + j * 8),
                         _mm512_cvtepi64_epi32(sum));
    }
}

struct Int8 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x16;
  static constexpr int kRows = 6;
  static constexpr bool kPrepared = true;
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  int32_t* sums) {
    // acc[r][j]: columns 8j .. 8j+7, two partial sums each.
    __m512i acc[R][4];
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < 4; ++j) acc[r][j] = _mm512_setzero_si512();
    for (int64_t k = 0; k < w.in; k += 4) {
      const uint8_t* line = b + k / 64 * 2 * kHalfBytes + k % 64 * 16;
      fetch_ahead(line);
      fetch_ahead(line + kHalfBytes);
      __m512i weights[4];
      for (int j = 0; j < 4; ++j)
        weights[j] = _mm512_cvtepi8_epi16(_mm256_load_si256(
            reinterpret_cast<const __m256i*>(line + j / 2 * kHalfBytes + j % 2 * 32)));
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        int32_t four;
        __builtin_memcpy(&four, rows[r] + k, 4);
        const __m512i x = _mm512_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
        for (int j = 0; j < 4; ++j)
          acc[r][j] = _mm512_add_epi32(acc[r][j], _mm512_madd_epi16(x, weights[j]));
      }
    }
    store_sums(acc, sums);
  }
};

struct Int4 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x16;
  static constexpr int kRows = 4;
  static constexpr bool kPrepared = true;
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  int32_t* sums) {
    // As int8: acc[r][j] are columns 8j .. 8j+7, two partial sums each.
    __m512i acc[R][4];
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < 4; ++j) acc[r][j] = _mm512_setzero_si512();
    for (int64_t tile = 0; tile < w.k_tiles; ++tile, b += kInt4TileBytes) {
      half_tile<R, 0>(rows, tile, b, acc);
      half_tile<R, 1>(rows, tile, b + kInt4HalfBytes, acc);
    }
    store_sums(acc, sums);
  }
  template <int R, int kHalf>
  static inline __attribute__((always_inline)) void half_tile(const uint8_t* const (&rows)[R],
                                                              int64_t tile, const uint8_t* half,
                                                              __m512i (&acc)[R][4]) {
    const Int4Group groups[2] = {Int4Group(half), Int4Group(half + 32)};
    fetch_ahead(half);
    for (int64_t line = 0; line < 8; ++line) {
      const uint8_t* both = half + kInt4StepBytes + line * 64;
      fetch_ahead(both);
      const __m512i nibbles = _mm512_load_si512(both);
#pragma GCC unroll 2
      for (int g = 0; g < 2; ++g) {
        const __m512i bytes = groups[g].weights(g == 0 ? int4_low(nibbles) : int4_high(nibbles));
        const __m512i low = _mm512_cvtepi8_epi16(_mm512_castsi512_si256(bytes));
        const __m512i high = _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64(bytes, 1));
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
          int32_t four;
          __builtin_memcpy(&four, rows[r] + tile * kTileBytes + g * kGroup + line * 4, 4);
          const __m512i x = _mm512_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
          __m512i* sums = acc[r] + kHalf * 2;
          sums[0] = _mm512_add_epi32(sums[0], _mm512_madd_epi16(x, low));
          sums[1] = _mm512_add_epi32(sums[1], _mm512_madd_epi16(x, high));
        }
      }
    }
  }
};

}  // namespace

const Kernel kF32{nullptr, multiply_rows<F32>, no_scratch, 1, nullptr};
const Kernel kBf16{nullptr, multiply_rows<Bf16>, no_scratch, 1, nullptr};
const Kernel kInt8{quantise_rows<>, multiply_rows<Int8>, no_scratch, 1, nullptr};
const Kernel kInt4{quantise_rows<>, multiply_rows<Int4>, no_scratch, 1, nullptr};

}  // namespace sis::gemm::avx512
