// A panel of 32 rows times a block of weights on AMX, and what goes on between its steps. The whole
// story is in gemm_amx.cc.
#pragma once

#include <type_traits>

#include "infer/kernels/cpu/gemm_amx_tiles.h"
#include "infer/kernels/cpu/gemm_epilogue.h"

namespace sis::gemm::amx {
namespace {

// Rows [row, end) of a panel and block.
struct PanelRows {
  int64_t row = 0, end = 0, block = 0;
};

// What is done between the steps of a product.
struct Between {
  const Product* product;
  PanelRows fetch;                // their lines of y are asked for
  PanelRows finish;               // these, whose sums are complete, go through the epilogue
  const uint8_t* sums = nullptr;  // of finish.row
};

// The lines of y that the next four rows end up in.
inline void fetch_to_write(const Product& p, PanelRows& f) {
  const int64_t y_bytes = p.y_bf16 ? 2 : 4, bytes = columns_of(p.weights) * y_bytes;
  const int64_t column = column_of(p.weights, f.block);
  const auto* y = static_cast<const uint8_t*>(p.y) + (f.row * p.y_stride + column) * y_bytes;
  for (int r = 0; r < 4 && f.row < f.end; ++r, ++f.row, y += p.y_stride * y_bytes)
    for (int64_t line = 0; line < bytes; line += 64) asm volatile("prefetchw %0" ::"m"(y[line]));
}

template <class Acc>
inline void finish_some(Between& b) {
  const auto finish = [&](auto rows) {
    const auto* acc = reinterpret_cast<const Acc*>(b.sums);
    finish_rows<RowVec, rows>(*b.product, b.finish.row, b.finish.block, acc, acc + kHalfBytes / 4,
                              16);
    b.finish.row += rows;
    b.sums += rows * 64;
  };
  if (b.finish.row + 4 <= b.finish.end)
    finish(std::integral_constant<int, 4>{});
  else
    finish(std::integral_constant<int, 1>{});
  if ((b.finish.row & 15) == 0) b.sums += kHalfBytes;
}
// Some rows of both.
template <class Acc>
__attribute__((noinline)) void go_on(Between& b) {
  fetch_to_write(*b.product, b.fetch);
  if (b.finish.row < b.finish.end) finish_some<Acc>(b);
}
template <class Acc>
void finish_rest(Between& b) {
  while (b.finish.row < b.finish.end) finish_some<Acc>(b);
}

inline void fetch_l2(const uint8_t* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
}

// 32 rows x 32 columns over `steps` tiles of K. The sums that tiles hold from the call before go to
// `done`, these stay; kFrom tells where they begin. At every step `lines` of `weights` are asked
// for, past the end does no harm; at every second one `between` goes on. A function of its own, for
// the sake of registers, and without structs: one that was just written by parts and is read as a
// whole waits for all tiles to be stored.
enum class From : uint8_t { kZero, kMemory, kTiles };
template <Type kType, int64_t kTile, From kFrom>
__attribute__((noinline)) void multiply_32x32(const uint8_t* a0, const uint8_t* a1, int64_t row,
                                              const uint8_t* b, const uint8_t* sums, int64_t steps,
                                              uint8_t* done, const uint8_t* weights, int64_t lines,
                                              Between& between) {
  using Acc = typename SumOf<kType>::Type;
#define SIS_BEGIN(tile)                                                                    \
  do {                                                                                     \
    if constexpr (kFrom != From::kTiles) _tile_stored(tile, done + (tile)*kHalfBytes, 64); \
    if constexpr (kFrom == From::kZero)                                                    \
      _tile_zero(tile);                                                                    \
    else if constexpr (kFrom == From::kMemory)                                             \
      _tile_loadd(tile, sums + (tile)*kHalfBytes, 64);                                     \
  } while (0)
  SIS_BEGIN(0);
  _tile_loadd(6, b, 64);
  _tile_stream_loadd(4, a0, row);
  SIS_TDP(0, 4, 6);
  SIS_BEGIN(1);
  _tile_loadd(7, b + kHalfBytes, 64);
  SIS_TDP(1, 4, 7);
  SIS_BEGIN(2);
  _tile_stream_loadd(5, a1, row);
  SIS_TDP(2, 5, 6);
  SIS_BEGIN(3);
#undef SIS_BEGIN
  for (int64_t i = 0; i < lines; ++i, weights += 64) fetch_l2(weights);
  SIS_TDP(3, 5, 7);
  for (int64_t k = 1; k < steps; ++k) {
    a0 += kTile;
    a1 += kTile;
    b += kTileStep;
    _tile_loadd(6, b, 64);
    _tile_stream_loadd(4, a0, row);
    SIS_TDP(0, 4, 6);
    _tile_loadd(7, b + kHalfBytes, 64);
    SIS_TDP(1, 4, 7);
    _tile_stream_loadd(5, a1, row);
    SIS_TDP(2, 5, 6);
    for (int64_t i = 0; i < lines; ++i, weights += 64) fetch_l2(weights);
    SIS_TDP(3, 5, 7);
    if ((k & 1) != 0) go_on<Acc>(between);
  }
}
inline void store_sums(uint8_t* to) {
  _tile_stored(0, to, 64);
  _tile_stored(1, to + kHalfBytes, 64);
  _tile_stored(2, to + 2 * kHalfBytes, 64);
  _tile_stored(3, to + 3 * kHalfBytes, 64);
}

// 16 rows x 32 columns: the last panel, where that is all it has.
template <Type kType, int64_t kTile, From kFrom>
__attribute__((noinline)) void multiply_16x32(const uint8_t* a, const uint8_t*, int64_t row,
                                              const uint8_t* b, const uint8_t* sums, int64_t steps,
                                              uint8_t* done, const uint8_t* weights, int64_t lines,
                                              Between& between) {
  using Acc = typename SumOf<kType>::Type;
  if constexpr (kFrom != From::kTiles) store_sums(done);
  if constexpr (kFrom == From::kZero) {
    _tile_zero(0);
    _tile_zero(1);
  } else if constexpr (kFrom == From::kMemory) {
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + kHalfBytes, 64);
  }
  for (int64_t k = 0; k < steps; ++k, a += kTile, b += kTileStep) {
    _tile_stream_loadd(4, a, row);
    _tile_loadd(6, b, 64);
    SIS_TDP(0, 4, 6);
    for (int64_t i = 0; i < lines; ++i, weights += 64) fetch_l2(weights);
    _tile_loadd(7, b + kHalfBytes, 64);
    SIS_TDP(1, 4, 7);
    if ((k & 1) != 0) go_on<Acc>(between);
  }
}

}  // namespace
}  // namespace sis::gemm::amx
