// The loop around the vector kernels: a few rows times one block of 32 columns over all of K, sums
// in registers. The weights of a block stay in L2 while the rows pass.
//
// A Micro tells how to multiply:
//   X          element of x: float, uint16_t (bf16 bits) or uint8_t (quantised)
//   Acc        element of the sums
//   V          vector of the epilogue
//   kRows      most rows at a time
//   kPrepared  x comes from prepare()
//   run<R>(rows, weights, block, b, sums)   sums[R][32] for R row pointers; b: the block's first
//   line
// Rows of one call do not influence each other and each element sums over K in one order.
//
// In an unnamed namespace on purpose, see gemm_simd.h.
#pragma once

#include "infer/kernels/cpu/gemm_epilogue.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm {
namespace {

// The line that is needed one tile later, and with few rows comes from memory: two such streams per
// block reach the rate of plain reads.
inline void fetch_ahead(const uint8_t* line) { __builtin_prefetch(line + 2 * kHalfBytes); }

template <class Micro, int R>
inline void run_rows(const Product& p, int64_t row, int64_t block) {
  using X = typename Micro::X;
  using Acc = typename Micro::Acc;
  const int64_t tile_bytes = 2 * (p.weights.int4 ? kInt4HalfBytes : kHalfBytes);
  const X* rows[R];
  for (int r = 0; r < R; ++r) {
    if constexpr (Micro::kPrepared) {
      rows[r] = p.prepared + (row + r) * p.weights.prepared_stride;
    } else {
      rows[r] = static_cast<const X*>(p.x) + (row + r) * p.x_stride;
    }
  }
  constexpr int kStep = R % 4 == 0 && Micro::V::kLanes == 16 ? 4
                        : R % 2 == 0 && Micro::V::kLanes > 1 ? 2
                                                             : 1;
  alignas(64) Acc sums[R * kBlockCols];
  Micro::template run<R>(rows, p.weights, block,
                         p.weights.tiles + block * p.weights.k_tiles * tile_bytes, sums);
  for (int r = 0; r < R; r += kStep)
    finish_rows<typename Micro::V, kStep>(p, row + r, block, sums + r * kBlockCols,
                                          sums + r * kBlockCols + 16, kBlockCols);
}

template <class Micro, int R>
inline void run_rest(const Product& p, int64_t row, int64_t rows, int64_t block) {
  if constexpr (R > 0) {
    if (rows == R) return run_rows<Micro, R>(p, row, block);
    run_rest<Micro, R - 1>(p, row, rows, block);
  }
}

inline int64_t no_scratch(const Weights&) { return 0; }

template <class Micro>
void multiply_rows(const Product& p, int64_t row_begin, int64_t row_end, int64_t block_begin,
                   int64_t block_end, uint8_t* /*scratch*/) {
  for (int64_t block = block_begin; block < block_end; ++block) {
    int64_t row = row_begin;
    for (; row + Micro::kRows <= row_end; row += Micro::kRows)
      run_rows<Micro, Micro::kRows>(p, row, block);
    run_rest<Micro, Micro::kRows - 1>(p, row, row_end - row, block);
  }
}

}  // namespace
}  // namespace sis::gemm
