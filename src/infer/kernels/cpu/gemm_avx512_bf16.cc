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

struct Bf16 {
  using X = uint16_t;
  using Acc = float;
  using V = F32x16;
  static constexpr int kRows = 12;
  static constexpr bool kPrepared = false;
  template <int R>
  static void run(const uint16_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  float* sums) {
    __m512 acc[R][2];
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
    const auto step = [&](const uint8_t* line, const auto& pair_of) __attribute__((always_inline)) {
      fetch_ahead(line);
      fetch_ahead(line + kHalfBytes);
      const __m512bh b0 = (__m512bh)_mm512_load_si512(line),
                     b1 = (__m512bh)_mm512_load_si512(line + kHalfBytes);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const __m512bh x = (__m512bh)_mm512_set1_epi32(pair_of(rows[r]));
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], x, b0);
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], x, b1);
      }
    };
    int64_t k = 0;
    for (; k + 2 <= w.in; k += 2)
      step(b + k / 32 * 2 * kHalfBytes + k % 32 * 32, [k](const uint16_t* row) {
        int32_t pair;
        __builtin_memcpy(&pair, row + k, 4);
        return pair;
      });
    if (k < w.in)
      step(b + k / 32 * 2 * kHalfBytes + k % 32 * 32,
           [k](const uint16_t* row) { return static_cast<int32_t>(row[k]); });
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < 2; ++j) _mm512_store_ps(sums + r * kBlockCols + j * 16, acc[r][j]);
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
    __m512i acc[R][2];
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < 2; ++j) {
        const __m512i column = _mm512_loadu_si512(w.sums + block * kBlockCols + j * 16);
        acc[r][j] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(column, 7));
      }
    for (int64_t k = 0; k < w.in; k += 4) {
      const uint8_t* line = b + k / 64 * 2 * kHalfBytes + k % 64 * 16;
      fetch_ahead(line);
      fetch_ahead(line + kHalfBytes);
      const __m512i b0 = _mm512_load_si512(line), b1 = _mm512_load_si512(line + kHalfBytes);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        int32_t four;
        __builtin_memcpy(&four, rows[r] + k, 4);
        const __m512i x = _mm512_set1_epi32(four);
        acc[r][0] = _mm512_dpbusd_epi32(acc[r][0], x, b0);
        acc[r][1] = _mm512_dpbusd_epi32(acc[r][1], x, b1);
      }
    }
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < 2; ++j) _mm512_store_si512(sums + r * kBlockCols + j * 16, acc[r][j]);
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
    __m512i acc[R][2];
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < 2; ++j) {
        const __m512i column = _mm512_loadu_si512(w.sums + block * kBlockCols + j * 16);
        acc[r][j] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(column, 7));
      }
    for (int64_t tile = 0; tile < w.k_tiles; ++tile, b += kInt4TileBytes) {
      const uint8_t* half1 = b + kInt4HalfBytes;
      const Int4Group groups[2][2] = {{Int4Group(b), Int4Group(half1)},
                                      {Int4Group(b + 32), Int4Group(half1 + 32)}};
      fetch_ahead(b);
      fetch_ahead(half1);
      for (int64_t line = 0; line < 8; ++line) {
        const int64_t at = kInt4StepBytes + line * 64;
        fetch_ahead(b + at);
        fetch_ahead(half1 + at);
        const __m512i lines[2] = {_mm512_load_si512(b + at), _mm512_load_si512(half1 + at)};
        const auto multiply = [&](int g, __m512i n0, __m512i n1) __attribute__((always_inline)) {
          const __m512i b0 = groups[g][0].weights(n0), b1 = groups[g][1].weights(n1);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) {
            int32_t four;
            __builtin_memcpy(&four, rows[r] + tile * kTileBytes + g * kGroup + line * 4, 4);
            const __m512i x = _mm512_set1_epi32(four);
            acc[r][0] = _mm512_dpbusd_epi32(acc[r][0], x, b0);
            acc[r][1] = _mm512_dpbusd_epi32(acc[r][1], x, b1);
          }
        };
        multiply(0, int4_low(lines[0]), int4_low(lines[1]));
        multiply(1, int4_high(lines[0]), int4_high(lines[1]));
      }
    }
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < 2; ++j) _mm512_store_si512(sums + r * kBlockCols + j * 16, acc[r][j]);
  }
};

}  // namespace

const Kernel kBf16{nullptr, multiply_rows<Bf16>, no_scratch, 1, nullptr};
const Kernel kInt8{quantise_rows<0x80>, multiply_rows<Int8>, no_scratch, 1, nullptr};
const Kernel kInt4{quantise_rows<0x80>, multiply_rows<Int4>, no_scratch, 1, nullptr};

}  // namespace sis::gemm::avx512_bf16
