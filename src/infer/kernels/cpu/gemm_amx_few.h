// AMX products of at most 32 rows: as fast as weights come from memory.
//
// A block of weights is one pass over K, its lines fetched into L1 one step ahead, as four streams
// of 512 bytes that take turns: that order reaches the rate of plain reads, one stream reaches 80 %
// of it (more distance is worse, the rows then fall out of L1). Tiles have no more rows than there
// are, so that the rows of a decode step stay in L1.
//
// y has left the caches since it was written last, and a line here and a line there cost a third of
// the rate with 32 rows. So a window of columns is computed in scratch and copied row by row, which
// the CPU fetches ahead by itself. The residual comes the same way.
//
// Included by gemm_amx.cc alone.
#pragma once

#include "infer/kernels/cpu/gemm_amx_tiles.h"
#include "infer/kernels/cpu/gemm_epilogue.h"

namespace sis::gemm::amx {
namespace {

constexpr int64_t kFewRows = kPanelRows;
constexpr int64_t kDirectRows = 4;    // up to this many rows y is written without a window
constexpr int64_t kWindowBlocks = 8;  // 256 columns
constexpr int64_t kWindowStride = kWindowBlocks * kBlockCols;
constexpr int64_t kFewScratchBytes = kBlockSums + 2 * kFewRows * kWindowStride * 4;

// Lines [kBegin, kEnd) of 32, in the order of four streams.
template <int kBegin, int kEnd>
inline __attribute__((always_inline)) void fetch_lines(const uint8_t* p) {
#pragma GCC unroll 32
  for (int i = kBegin; i < kEnd; ++i)
    _mm_prefetch(reinterpret_cast<const char*>(p) + (i % 4 * 8 + i / 4) * 64, _MM_HINT_T0);
}

// Rows whose K begins at x, x_row bytes apart, times one block; kBoth: more than 16.
template <bool kInt8, bool kBoth>
inline void multiply_block_few(const uint8_t* x, int64_t x_row, const uint8_t* b, int64_t k_tiles,
                               uint8_t* sums) {
  _tile_zero(0);
  _tile_zero(1);
  if (kBoth) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t k = 0; k < k_tiles; ++k, x += kTileBytes, b += kTileStep) {
    _tile_loadd(6, b, 64);
    fetch_lines<0, 16>(b + kTileStep);
    _tile_loadd(4, x, x_row);
    SIS_TDP(0, 4, 6);
    _tile_loadd(7, b + kHalfBytes, 64);
    SIS_TDP(1, 4, 7);
    fetch_lines<16, 32>(b + kTileStep);
    if (kBoth) {
      _tile_loadd(5, x + 16 * x_row, x_row);
      SIS_TDP(2, 5, 6);
      SIS_TDP(3, 5, 7);
    }
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + kHalfBytes, 64);
  if (kBoth) {
    _tile_stored(2, sums + 2 * kHalfBytes, 64);
    _tile_stored(3, sums + 3 * kHalfBytes, 64);
  }
}

template <class Acc>
inline void finish_few(const Product& p, int64_t rows, int64_t block, const uint8_t* sums) {
  int64_t r = 0;
  const auto at = [&] {
    return reinterpret_cast<const Acc*>(sums + r / 16 * 2 * kHalfBytes + r % 16 * 64);
  };
  for (; r + 4 <= rows; r += 4)
    finish_rows<F32x16, 4>(p, r, block, at(), at() + kHalfBytes / 4, 16);
  for (; r < rows; ++r) finish_rows<F32x16, 1>(p, r, block, at(), at() + kHalfBytes / 4, 16);
}

// Copies `bytes` bytes of each of `rows` rows.
inline void copy_window(uint8_t* to, int64_t to_row, const uint8_t* from, int64_t from_row,
                        int64_t rows, int64_t bytes) {
  for (int64_t r = 0; r < rows; ++r)
    __builtin_memcpy(to + r * to_row, from + r * from_row, static_cast<unsigned long>(bytes));
}

// All rows of `p` (at most 32), whose K bytes begin at x, times blocks [begin, end).
template <bool kInt8>
void multiply_few(const Product& p, const uint8_t* x, int64_t x_row, int64_t begin, int64_t end,
                  uint8_t* scratch) {
  TileConfig config;
  const int64_t rows = p.rows;
  const auto first = static_cast<uint8_t>(rows < 16 ? rows : 16);
  config.rows[0] = config.rows[1] = config.rows[4] = first;
  config.rows[2] = config.rows[3] = config.rows[5] =
      static_cast<uint8_t>(rows > 16 ? rows - 16 : 1);
  config.load();
  uint8_t* sums = scratch;
  const auto multiply = [&](const Product& part, int64_t block) {
    const uint8_t* b = p.weights.tiles + block * p.weights.k_tiles * kTileStep;
    if (rows > 16) {
      multiply_block_few<kInt8, true>(x, x_row, b, p.weights.k_tiles, sums);
    } else {
      multiply_block_few<kInt8, false>(x, x_row, b, p.weights.k_tiles, sums);
    }
    finish_few<typename SumOf<kInt8>::Type>(part, rows, block, sums);
  };
  if (rows <= kDirectRows) {
    for (int64_t block = begin; block < end; ++block) multiply(p, block);
    _tile_release();
    return;
  }

  const int64_t y_bytes = p.y_bf16 ? 2 : 4;
  uint8_t* y = scratch + kBlockSums;
  uint8_t* residual = y + kFewRows * kWindowStride * 4;
  for (int64_t block = begin; block < end; block += kWindowBlocks) {
    const int64_t last = block + kWindowBlocks < end ? block + kWindowBlocks : end;
    const int64_t column = block * kBlockCols;
    const int64_t columns =
        (last * kBlockCols < p.weights.out ? last * kBlockCols : p.weights.out) - column;
    Product part = p;  // the window takes y's place
    part.y = y - column * y_bytes;
    part.y_stride = kWindowStride;
    if (p.residual) {
      copy_window(residual, kWindowStride * 4,
                  reinterpret_cast<const uint8_t*>(p.residual + column), p.residual_stride * 4,
                  rows, columns * 4);
      part.residual = reinterpret_cast<const float*>(residual) - column;
      part.residual_stride = kWindowStride;
    }
    for (int64_t b = block; b < last; ++b) multiply(part, b);
    copy_window(static_cast<uint8_t*>(p.y) + column * y_bytes, p.y_stride * y_bytes, y,
                kWindowStride * y_bytes, rows, columns * y_bytes);
  }
  _tile_release();
}

}  // namespace
}  // namespace sis::gemm::amx
