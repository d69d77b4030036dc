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
//   unpack(b, tiles, to)                    int4, for multiply_unpacked(): tiles of int8
// Rows of one call do not influence each other and each element sums over K in one order.
//
// In an unnamed namespace on purpose, see gemm_simd.h.
#pragma once

#include <utility>

#include "infer/kernels/cpu/gemm_epilogue.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm {
namespace {

// f(begin), .. f(end - 1) with constants: sums that are only ever named by constants stay in
// registers, whatever the optimiser thinks of the loop around them.
template <int kBegin, int kEnd, class F>
[[gnu::always_inline]] inline void unrolled(const F& f) {
  [&]<int... kAt>(std::integer_sequence<int, kAt...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, kBegin + kAt>()), ...);
  }
  (std::make_integer_sequence<int, kEnd - kBegin>());
}

// Which of a block's two halves of 16 columns a step works on.
template <int kBegin, int kEnd>
struct Halves {
  static constexpr int begin = kBegin, end = kEnd;
};

// Lines to fetch into L1 soon. Few rows leave the multipliers waiting for memory, which is fastest
// where lines are asked for in the order they lie in: two interleaved streams of 1 KB each reach
// 57 % of that on Zen 4.
class Fetch {
 public:
  explicit Fetch(const uint8_t* from) : at_(from) {}
  [[gnu::always_inline]] inline void lines(int count) {
    for (int i = 0; i < count; ++i, at_ += 64) __builtin_prefetch(at_);
  }

 private:
  const uint8_t* at_;
};

// step(line, halves) for each of a half tile's kLines; `kFetched` lines are fetched for each, and
// for its kHeaderLines.
template <int kLines, int kHeaderLines, int kFetched, class H, class Step>
[[gnu::always_inline]] inline void for_half(Fetch& fetch, H halves, const Step& step) {
  fetch.lines(kFetched * kHeaderLines);
  for (int line = 0; line < kLines; ++line) {
    fetch.lines(kFetched);
    step(line, halves);
  }
}

// The same for both halves of a tile, while the tile after it is fetched: one after the other, as
// the lines lie, or both in one step, which reads x half as often.
template <bool kInOrder, int kLines, int kHeaderLines = 0, class Step>
[[gnu::always_inline]] inline void for_tile(const uint8_t* tile, const Step& step) {
  Fetch next(tile + 2 * (kLines + kHeaderLines) * 64);
  if constexpr (kInOrder) {
    for_half<kLines, kHeaderLines, 1>(next, Halves<0, 1>{}, step);
    for_half<kLines, kHeaderLines, 1>(next, Halves<1, 2>{}, step);
  } else {
    for_half<kLines, kHeaderLines, 2>(next, Halves<0, 2>{}, step);
  }
}

template <class Micro, int R>
inline void run_rows(const Product& p, int64_t row, int64_t block, const uint8_t* tiles) {
  using X = typename Micro::X;
  using Acc = typename Micro::Acc;
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
  Micro::template run<R>(rows, p.weights, block, tiles, sums);
  for (int r = 0; r < R; r += kStep)
    finish_rows<typename Micro::V, kStep>(p, row + r, block, sums + r * kBlockCols,
                                          sums + r * kBlockCols + 16, kBlockCols);
}

template <class Micro, int R>
inline void run_rest(const Product& p, int64_t row, int64_t rows, int64_t block,
                     const uint8_t* tiles) {
  if constexpr (R > 0) {
    if (rows == R) return run_rows<Micro, R>(p, row, block, tiles);
    run_rest<Micro, R - 1>(p, row, rows, block, tiles);
  }
}

// Rows [row, row_end) times one block, whose weights `tiles` are.
template <class Micro>
inline void run_block(const Product& p, int64_t row, int64_t row_end, int64_t block,
                      const uint8_t* tiles) {
  for (; row + Micro::kRows <= row_end; row += Micro::kRows)
    run_rows<Micro, Micro::kRows>(p, row, block, tiles);
  run_rest<Micro, Micro::kRows - 1>(p, row, row_end - row, block, tiles);
}

inline const uint8_t* tiles_of(const Weights& w, int64_t block) {
  return w.tiles + block * w.k_tiles * 2 * (w.int4 ? kInt4HalfBytes : kHalfBytes);
}

inline int64_t no_scratch(const Weights&) { return 0; }

template <class Micro>
void multiply_rows(const Product& p, int64_t row_begin, int64_t row_end, int64_t block_begin,
                   int64_t block_end, uint8_t* /*scratch*/) {
  for (int64_t block = block_begin; block < block_end; ++block)
    run_block<Micro>(p, row_begin, row_end, block, tiles_of(p.weights, block));
}

// int4 where unpacking takes longer than multiplying: once per block for all rows, into tiles of
// int8, unless there are few of them.
inline int64_t unpacked_bytes(const Weights& w) { return w.k_tiles * 2 * kHalfBytes; }

template <class Int4, class Int8>
void multiply_unpacked(const Product& p, int64_t row_begin, int64_t row_end, int64_t block_begin,
                       int64_t block_end, uint8_t* scratch) {
  if (row_end - row_begin <= 2 * Int4::kRows)
    return multiply_rows<Int4>(p, row_begin, row_end, block_begin, block_end, scratch);
  for (int64_t block = block_begin; block < block_end; ++block) {
    Int4::unpack(tiles_of(p.weights, block), p.weights.k_tiles, scratch);
    run_block<Int8>(p, row_begin, row_end, block, scratch);
  }
}

}  // namespace
}  // namespace sis::gemm
