// What the AMX kernels share: tile configuration, the product instruction of a type, and where a
// half panel of rows lies.
//
// Included by gemm_amx.cc alone.
#pragma once

#include <immintrin.h>

#include "infer/kernels/gemm.h"

namespace sis::gemm::amx {
namespace {

constexpr int64_t kTileStep = 2 * kHalfBytes;   // rows or weights of one step
constexpr int64_t kBlockSums = 4 * kHalfBytes;  // sums of 32 rows x 32 columns, as four tiles

template <bool kInt8>
struct SumOf {
  using Type = float;
};
template <>
struct SumOf<true> {
  using Type = int32_t;
};

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

#define SIS_TDP(c, a, b)       \
  do {                         \
    if constexpr (kInt8)       \
      _tile_dpbssd(c, a, b);   \
    else                       \
      _tile_dpbf16ps(c, a, b); \
  } while (0)

// 16 rows: the 64 bytes of K tile t of row r are at p + t * tile + r * row.
struct Half {
  const uint8_t* p;
  int64_t row, tile;
};

}  // namespace
}  // namespace sis::gemm::amx
