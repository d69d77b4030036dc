// What the AMX kernels share: tile configuration, the product instruction of a type, int4 weights
// as tiles, the vector of the epilogue.
#pragma once

#include <immintrin.h>

#include "infer/kernels/cpu/gemm_int4.h"
#include "infer/kernels/cpu/gemm_simd.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm::amx {
namespace {

constexpr int64_t kTileStep = 2 * kHalfBytes;   // rows or weights of one step
constexpr int64_t kBlockSums = 4 * kHalfBytes;  // sums of 32 rows x 32 columns, as four tiles

enum class Type : uint8_t { kBf16, kInt8, kInt4 };  // of the weights

template <Type kType>
struct SumOf {
  using Type = int32_t;
};
template <>
struct SumOf<Type::kBf16> {
  using Type = float;
};

// Of the epilogue.
#if defined(__AVX512F__) && defined(__AVX512BW__)
using RowVec = F32x16;
#else
using RowVec = F32x1;  // never called: for reading these headers by themselves
#endif

// Weights of one step as they are stored.
constexpr int64_t step_bytes(Type type) { return type == Type::kInt4 ? kInt4TileBytes : kTileStep; }

// int4 weights of one step as the tiles want them.
inline __attribute__((always_inline)) void expand_int4(const uint8_t* from, uint8_t* to) {
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half, from += kInt4HalfBytes, to += kHalfBytes) {
    const Int4Group low(from), high(from + 32);
#pragma GCC unroll 8
    for (int line = 0; line < 8; ++line) {
      const __m512i both = _mm512_load_si512(from + kInt4StepBytes + line * 64);
      _mm512_store_si512(to + line * 64, low.weights(int4_low(both)));
      _mm512_store_si512(to + 512 + line * 64, high.weights(int4_high(both)));
    }
  }
}

// Tiles 0 to 3 are sums (rows 0-15 and 16-31, columns 0-15 and 16-31 each), 4 and 5 the rows, 6
// and 7 the weights.
struct __attribute__((packed)) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t col_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};

  void load() const {
    asm volatile("" ::"r"(this) : "memory");  // g++ 12 takes the load for one of 8 bytes
    _tile_loadconfig(this);
  }
};

#define SIS_TDP(c, a, b)                \
  do {                                  \
    if constexpr (kType == Type::kBf16) \
      _tile_dpbf16ps(c, a, b);          \
    else                                \
      _tile_dpbssd(c, a, b);            \
  } while (0)

}  // namespace
}  // namespace sis::gemm::amx
