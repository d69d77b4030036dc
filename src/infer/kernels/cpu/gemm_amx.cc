// AMX: bf16 and int8 products on tiles of 16 x 64 bytes.
//
// One step multiplies 32 rows by 32 columns over 64 bytes of K with four accumulator tiles, so each
// tile loaded is used twice. A block of weights (32 columns x 16 tiles of K, 32 KB) stays in L1
// while the rows of a chunk stream past it from L2; they are loaded as a stream, because rows that
// were loaded like any others would drive the weights out. Weights are read in the order they lie
// in memory, the next ones being fetched meanwhile; every fetch that misses L2 holds a fill buffer
// that the rows want as well, so chunks are as large as L2 allows: the more rows, the fewer fetches
// per step. Where K is too long for many rows of it to stay in L2, it is cut into spans; a window
// of blocks passes one span after another.
//
// bf16 rows are read where they are; copying them into the order of the tiles first gains nothing
// (measured at K = 384 .. 4096). Only the last, incomplete panel goes through a copy, or all where
// K ends inside a tile.
//
// Sums stay in tiles until the next panel begins: its first step stores them tile by tile, when
// they are long done. Those of all K go through the epilogue one panel later still, a few rows
// between two steps: the vector units have time for it, but a load of what a tile has just stored
// would wait. A ring of four places keeps such sums in L1. The epilogue is a call, so that the
// addresses of the products stay in registers.
//
// What limits the rate is measured in cycles per step, which are 64 for the multipliers alone: 80
// with all four tiles loaded anew; each vector loaded besides costs about one; each line that comes
// from L3 or memory, of weights or of y, about ten.
//
// Up to 32 rows have a way of their own, gemm_amx_few.h.
//
// Every element sums over K in the same order, whatever the rows beside it.
#include <immintrin.h>

#include "infer/kernels/cpu/gemm_amx_chunk.h"
#include "infer/kernels/cpu/gemm_amx_few.h"
#include "infer/kernels/cpu/gemm_prepare.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm::amx {
namespace {

// Rows [begin, end) of x in the order of tiles: line(row, tile) takes 64 bytes.
template <class Line>
inline void copy_rows_to(const Product& p, int64_t begin, int64_t end, const Line& line) {
  const int64_t k_max = p.weights.in, tiles = p.weights.k_tiles;
  for (int64_t row = begin; row < end; ++row) {
    const uint16_t* x = static_cast<const uint16_t*>(p.x) + row * p.x_stride;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t left = k_max - t * 32;
      const __mmask32 mask = left >= 32 ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
      _mm512_store_si512(line(row, t), _mm512_maskz_loadu_epi16(mask, x + t * 32));
    }
  }
}

template <Type kType, bool kDirect>
void multiply(const Product& p, int64_t row_begin, int64_t row_end, int64_t block_begin,
              int64_t block_end, uint8_t* scratch) {
  if (p.rows <= kFewRows) {
    return multiply_few<kType>(p, kDirect ? static_cast<const uint8_t*>(p.x) : p.prepared,
                               kDirect ? p.x_stride * 2 : p.weights.prepared_stride, block_begin,
                               block_end, scratch);
  }
  TileConfig().load();
  Rows rows{p.prepared, p.weights.prepared_stride, nullptr, row_end,
            p.weights.k_tiles * kHalfBytes};
  if (kDirect) {
    rows.base = static_cast<const uint8_t*>(p.x);
    rows.row_bytes = p.x_stride * 2;
  }
  if (kDirect && (row_end - row_begin) % kPanelRows != 0) {
    uint8_t* rest = scratch + others_at(p.weights);
    rows.rest = rest;
    rows.rest_row = row_begin + (row_end - row_begin) / kPanelRows * kPanelRows;
    copy_rows_to(p, rows.rest_row, row_end, [&](int64_t row, int64_t tile) {
      const int64_t r = row - rows.rest_row;
      return rest + r / 16 * rows.half_bytes + tile * kHalfBytes + r % 16 * kTileBytes;
    });
  }
  asm volatile("" ::: "memory");  // nor does it know that tile loads read memory

  const Walk walk(p.weights, row_end - row_begin);
  const bool stays =
      (block_end - block_begin) * p.weights.k_tiles * step_bytes(kType) <= kStayingBytes;
  for (int64_t chunk = 0; chunk < walk.chunks; ++chunk) {
    const int64_t begin = row_begin + walk.panels * chunk / walk.chunks * kPanelRows;
    const int64_t end = row_begin + walk.panels * (chunk + 1) / walk.chunks * kPanelRows;
    Chunk<kType, typename SumOf<kType>::Type> work(p, rows, begin, end < row_end ? end : row_end,
                                                   scratch);
    for (int64_t first = block_begin; first < block_end; first += walk.window)
      work.multiply(walk, first, first + walk.window < block_end ? first + walk.window : block_end,
                    chunk == 0 || !stays);
    work.finish();
  }
  _tile_release();
}

int64_t at_least_few(int64_t bytes) { return bytes < kFewScratchBytes ? kFewScratchBytes : bytes; }
int64_t sums_bytes(const Weights& w) { return at_least_few(others_at(w)); }
int64_t sums_and_expanded_bytes(const Weights& w) {
  return at_least_few(others_at(w) + kBlockTiles * kTileStep);
}
int64_t sums_and_rest_bytes(const Weights& w) {
  return at_least_few(others_at(w) + w.k_tiles * kTileStep);
}

void copy_rows(const Product& p, int64_t begin, int64_t end) {
  copy_rows_to(p, begin, end, [&](int64_t row, int64_t tile) {
    return p.prepared + row * p.weights.prepared_stride + tile * kTileBytes;
  });
}

}  // namespace

const Kernel kBf16Copied{copy_rows, multiply<Type::kBf16, false>, sums_bytes, 1, nullptr};
const Kernel kBf16{nullptr, multiply<Type::kBf16, true>, sums_and_rest_bytes, 32, &kBf16Copied};
const Kernel kInt8{quantise_rows<>, multiply<Type::kInt8, false>, sums_bytes, 1, nullptr};
const Kernel kInt4{quantise_rows<>, multiply<Type::kInt4, false>, sums_and_expanded_bytes, 1,
                   nullptr};

}  // namespace sis::gemm::amx
