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

#include <type_traits>

#include "infer/kernels/cpu/gemm_amx_tiles.h"
#include "infer/kernels/cpu/gemm_epilogue.h"

namespace sis::gemm::amx {
namespace {

constexpr int64_t kFewRows = kPanelRows;
constexpr int64_t kDirectRows = 4;    // up to this many rows y is written without a window
constexpr int64_t kWindowBlocks = 8;  // 256 columns, with gates 128
constexpr int64_t kWindowStride = kWindowBlocks * kBlockCols;
constexpr int64_t kFewScratchBytes = kBlockSums + 2 * kTileStep + 2 * kFewRows * kWindowStride * 4;

// How far ahead weights are fetched: the next step, which int4 already expands.
template <Type kType>
constexpr int64_t kAhead = kType == Type::kInt4 ? 2 * kInt4TileBytes : kTileStep;

// Half kHalf of the lines of one step, in the order of four streams (int4: of three).
template <Type kType, int kHalf>
inline __attribute__((always_inline)) void fetch_lines(const uint8_t* p) {
  constexpr int kLines = step_bytes(kType) / 64, kStreams = kType == Type::kInt4 ? 3 : 4;
#pragma GCC unroll 16
  for (int i = kHalf * kLines / 2; i < (kHalf + 1) * kLines / 2; ++i)
    _mm_prefetch(
        reinterpret_cast<const char*>(p) + (i % kStreams * (kLines / kStreams) + i / kStreams) * 64,
        _MM_HINT_T0);
}

// int4 weights of two steps as tiles: the one at work and the next.
struct Expanded {
  uint8_t* tiles;
  int64_t at = 0;  // of the two

  const uint8_t* current() const { return tiles + at * kTileStep; }
  inline __attribute__((always_inline)) void next(const uint8_t* from) {
    at ^= 1;
    expand_int4(from, tiles + at * kTileStep);
  }
};

// Rows whose K begins at x, x_row bytes apart, times one block; kBoth: more than 16. `expanded`
// holds the first step of int4 weights before, and the first from `after` on afterwards.
template <Type kType, bool kBoth>
inline void multiply_block_few(const uint8_t* x, int64_t x_row, const uint8_t* b, int64_t k_tiles,
                               const uint8_t* after, Expanded& expanded, uint8_t* sums) {
  constexpr int64_t kStep = step_bytes(kType);
  _tile_zero(0);
  _tile_zero(1);
  if (kBoth) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t k = 0; k < k_tiles; ++k, x += kTileBytes, b += kStep) {
    const uint8_t* tiles = kType == Type::kInt4 ? expanded.current() : b;
    _tile_loadd(6, tiles, 64);
    fetch_lines<kType, 0>(b + kAhead<kType>);
    _tile_loadd(4, x, x_row);
    SIS_TDP(0, 4, 6);
    _tile_loadd(7, tiles + kHalfBytes, 64);
    SIS_TDP(1, 4, 7);
    fetch_lines<kType, 1>(b + kAhead<kType>);
    if (kBoth) {
      _tile_loadd(5, x + 16 * x_row, x_row);
      SIS_TDP(2, 5, 6);
      SIS_TDP(3, 5, 7);
    }
    if (kType == Type::kInt4) expanded.next(k + 1 < k_tiles ? b + kStep : after);
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
  const auto finish = [&](auto together, int64_t r) {
    const int64_t at = r / 16 * 2 * kHalfBytes + r % 16 * 64;
    const auto* acc = reinterpret_cast<const Acc*>(sums + at);
    finish_rows<RowVec, together>(p, r, block, acc, acc + kHalfBytes / 4, 16);
  };
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) finish(std::integral_constant<int, 4>{}, r);
  for (; r < rows; ++r) finish(std::integral_constant<int, 1>{}, r);
}

// Copies `bytes` bytes of each of `rows` rows.
inline void copy_window(uint8_t* to, int64_t to_row, const uint8_t* from, int64_t from_row,
                        int64_t rows, int64_t bytes) {
  for (int64_t r = 0; r < rows; ++r)
    __builtin_memcpy(to + r * to_row, from + r * from_row, static_cast<unsigned long>(bytes));
}

// All rows of `p` (at most 32), whose K bytes begin at x, times blocks [begin, end).
template <Type kType>
void multiply_few(const Product& p, const uint8_t* x, int64_t x_row, int64_t begin, int64_t end,
                  uint8_t* scratch) {
  TileConfig config;
  const int64_t rows = p.rows;
  const auto first = static_cast<uint8_t>(rows < 16 ? rows : 16);
  config.rows[0] = config.rows[1] = config.rows[4] = first;
  config.rows[2] = config.rows[3] = config.rows[5] =
      static_cast<uint8_t>(rows > 16 ? rows - 16 : 1);
  config.load();
  uint8_t* const sums = scratch;
  Expanded expanded{sums + kBlockSums};
  const int64_t block_bytes = p.weights.k_tiles * step_bytes(kType);
  if (kType == Type::kInt4) expanded.next(p.weights.tiles + begin * block_bytes);
  const auto multiply = [&](const Product& part, int64_t block) {
    const uint8_t* b = p.weights.tiles + block * block_bytes;
    const uint8_t* after = block + 1 < end ? b + block_bytes : b;
    if (rows > 16) {
      multiply_block_few<kType, true>(x, x_row, b, p.weights.k_tiles, after, expanded, sums);
    } else {
      multiply_block_few<kType, false>(x, x_row, b, p.weights.k_tiles, after, expanded, sums);
    }
    finish_few<typename SumOf<kType>::Type>(part, rows, block, sums);
  };
  if (rows <= kDirectRows) {
    for (int64_t block = begin; block < end; ++block) multiply(p, block);
    _tile_release();
    return;
  }

  const int64_t y_bytes = p.y_bf16 ? 2 : 4;
  uint8_t* y = scratch + kBlockSums + 2 * kTileStep;
  uint8_t* residual = y + kFewRows * kWindowStride * 4;
  for (int64_t block = begin; block < end; block += kWindowBlocks) {
    const int64_t last = block + kWindowBlocks < end ? block + kWindowBlocks : end;
    const int64_t column = column_of(p.weights, block), next = column_of(p.weights, last);
    const int64_t columns = (next < p.weights.out ? next : p.weights.out) - column;
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
