// AMX: bf16 and int8 products on tiles of 16 x 64 bytes.
//
// One step multiplies 32 rows by 32 columns over 64 bytes of K with four accumulator tiles, so each
// tile loaded is used twice. A block of weights (32 columns x 8 tiles of K, 16 KB) stays in L1
// while the rows of a chunk stream past it from L2. Few rows are one chunk, and weights are read
// once, in the order they lie in memory, the next ones being fetched meanwhile. Many rows are cut
// into small chunks that pass a window of weights, so that both stay in L2.
//
// bf16 rows are read where they are; copying them into the order of the tiles first gains nothing
// (measured at K = 384 .. 4096). Only the last, incomplete panel goes through a copy, or all where
// K ends inside a tile.
//
// Sums wait in scratch between blocks of K. When the last one is done, the panel's rows go through
// the epilogue while their sums are still in L1; between products of one panel it would hide
// nothing, and what it costs there is registers: the loop of the products is a third faster when
// all its addresses stay in them.
//
// Up to 32 rows have a way of their own, gemm_amx_few.h.
//
// Every element sums over K in the same order, whatever the rows beside it.
#include <immintrin.h>

#include "infer/kernels/cpu/gemm_amx_few.h"
#include "infer/kernels/cpu/gemm_amx_tiles.h"
#include "infer/kernels/cpu/gemm_epilogue.h"
#include "infer/kernels/cpu/gemm_prepare.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm::amx {
namespace {

constexpr int64_t kPanelsMax = 32;           // rows of a chunk / 32
constexpr int64_t kBlockTiles = 8;           // 32 columns x 8 tiles: 16 KB of weights
constexpr int64_t kWholeBytes = 1 << 20;     // rows up to this are one chunk
constexpr int64_t kChunkBytes = 256 * 1024;  // others go in chunks of this,
constexpr int64_t kWindowBytes = 1 << 20;    // past windows of weights of this
constexpr int64_t kFetchAhead = 16 * 1024;   // how far weights are fetched ahead, into L2
constexpr int64_t kSumsBytes = kPanelsMax * kBlockSums;
constexpr int64_t kGatesAt = kSumsBytes;  // sums of gates, in scratch
constexpr int64_t kOthersAt = 2 * kSumsBytes;
static_assert(kFewScratchBytes <= kOthersAt);

inline void fetch_l2(const uint8_t* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
}

// The first address of two times 16 rows: the 64 bytes of K tile t of row r are at
// first + t * tile + r * row, those of row 16 + r at second + t * tile + r * row; tile is
// kTileBytes, in a copy kHalfBytes.
struct Panel {
  const uint8_t *first, *second;
  int64_t row;
};

// 32 rows x 32 columns over `steps` tiles of K; at every step `lines` of `weights` are asked for,
// past the end does no harm. A function of its own, for the sake of registers, and without structs:
// one that was just written by parts and is read as a whole waits for all tiles to be stored.
template <Type kType, int64_t kTile>
__attribute__((noinline)) void multiply_32x32(const uint8_t* a0, const uint8_t* a1, int64_t row,
                                              const uint8_t* b, uint8_t* sums, int64_t steps,
                                              bool first, const uint8_t* weights, int64_t lines) {
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + kHalfBytes, 64);
    _tile_loadd(2, sums + 2 * kHalfBytes, 64);
    _tile_loadd(3, sums + 3 * kHalfBytes, 64);
  }
  for (int64_t k = 0; k < steps; ++k, a0 += kTile, a1 += kTile, b += kTileStep) {
    _tile_loadd(6, b, 64);
    _tile_loadd(4, a0, row);
    SIS_TDP(0, 4, 6);
    _tile_loadd(7, b + kHalfBytes, 64);
    SIS_TDP(1, 4, 7);
    _tile_loadd(5, a1, row);
    SIS_TDP(2, 5, 6);
    for (int64_t i = 0; i < lines; ++i, weights += 64) fetch_l2(weights);
    SIS_TDP(3, 5, 7);
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + kHalfBytes, 64);
  _tile_stored(2, sums + 2 * kHalfBytes, 64);
  _tile_stored(3, sums + 3 * kHalfBytes, 64);
}

// 16 rows x 32 columns: the last panel, where that is all it has.
template <Type kType, int64_t kTile>
__attribute__((noinline)) void multiply_16x32(const uint8_t* a, const uint8_t*, int64_t row,
                                              const uint8_t* b, uint8_t* sums, int64_t steps,
                                              bool first, const uint8_t* weights, int64_t lines) {
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
  } else {
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + kHalfBytes, 64);
  }
  for (int64_t k = 0; k < steps; ++k, a += kTile, b += kTileStep) {
    _tile_loadd(4, a, row);
    _tile_loadd(6, b, 64);
    SIS_TDP(0, 4, 6);
    for (int64_t i = 0; i < lines; ++i, weights += 64) fetch_l2(weights);
    _tile_loadd(7, b + kHalfBytes, 64);
    SIS_TDP(1, 4, 7);
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + kHalfBytes, 64);
}

// Where the rows of a product are: in x or prepared; where x ends inside a panel, that one in a
// copy of two halves.
struct Rows {
  const uint8_t* base;
  int64_t row_bytes;
  const uint8_t* rest;
  int64_t rest_row, half_bytes;

  Panel panel(int64_t row, int64_t k0) const {
    if (row >= rest_row) {
      const uint8_t* first = rest + k0 * kHalfBytes;
      return {first, first + half_bytes, kTileBytes};
    }
    const uint8_t* first = base + row * row_bytes + k0 * kTileBytes;
    return {first, first + 16 * row_bytes, row_bytes};
  }
};

// K in blocks of at most kBlockTiles tiles.
struct KBlocks {
  explicit KBlocks(int64_t k_tiles)
      : tiles(k_tiles),
        count((k_tiles + kBlockTiles - 1) / kBlockTiles),
        size((k_tiles + count - 1) / count) {}
  int64_t begin(int64_t block) const { return block * size; }
  int64_t end(int64_t block) const {
    return (block + 1) * size < tiles ? (block + 1) * size : tiles;
  }
  int64_t tiles, count, size;
};

// Asks for the lines of y that a row's block ends up in; past the end does no harm.
inline void fetch_to_write(const Product& p, int64_t row, int64_t block) {
  const int64_t y_bytes = p.y_bf16 ? 2 : 4;
  const auto* y =
      static_cast<const uint8_t*>(p.y) + (row * p.y_stride + column_of(p.weights, block)) * y_bytes;
  for (int64_t line = 0; line < kBlockCols * y_bytes; line += 64)
    asm volatile("prefetchw %0" ::"m"(y[line]));
}

// The epilogue of rows [begin, end) of one block; `sums` panel after panel. The lines that the next
// block will be written to come while it is multiplied.
template <class Acc>
void finish_block(const Product& p, int64_t begin, int64_t end, int64_t block,
                  const uint8_t* sums) {
  const auto finish = [&](auto rows, int64_t row) {
    const auto r = static_cast<uint64_t>(row - begin);
    const auto* acc = reinterpret_cast<const Acc*>(sums + r / 32 * kBlockSums +
                                                   r % 32 / 16 * 2 * kHalfBytes + r % 16 * 64);
    finish_rows<F32x16, rows>(p, row, block, acc, acc + kHalfBytes / 4, 16,
                              p.weights.gated ? acc + kGatesAt / 4 : nullptr);
  };
  int64_t row = begin;
  for (; row + 4 <= end; row += 4) {
    for (int64_t i = 0; i < 4; ++i) fetch_to_write(p, row + i, block + 1);
    finish(std::integral_constant<int, 4>{}, row);
  }
  for (; row < end; ++row) finish(std::integral_constant<int, 1>{}, row);
}

// Rows [begin, end) times blocks [block_begin, block_end). `fetch`: weights are new to L2.
template <Type kType, class Acc>
void multiply_chunk(const Product& p, const Rows& rows, int64_t begin, int64_t end,
                    int64_t block_begin, int64_t block_end, bool fetch, uint8_t* scratch) {
  const KBlocks k_blocks(p.weights.k_tiles);
  const int64_t block_bytes = p.weights.k_tiles * step_bytes(kType);
  uint8_t* expanded = scratch + kOthersAt;
  const int64_t steps = (end - begin + kPanelRows - 1) / kPanelRows * p.weights.k_tiles;
  const int64_t lines = fetch ? (block_bytes / 64 + steps - 1) / steps : 0;
  for (int64_t block = block_begin; block < block_end; ++block) {
    const uint8_t* weights = p.weights.tiles + block * block_bytes;
    const uint8_t* ahead = weights + kFetchAhead;
    for (int64_t kb = 0; kb < k_blocks.count; ++kb) {
      const int64_t k0 = k_blocks.begin(kb), k_steps = k_blocks.end(kb) - k0;
      const uint8_t* b = weights + k0 * step_bytes(kType);
      if constexpr (kType == Type::kInt4) {
        for (int64_t k = 0; k < k_steps; ++k)
          expand_int4(b + k * kInt4TileBytes, expanded + k * kTileStep);
        b = expanded;
      }
      const bool gate = is_gate(p.weights, block);
      uint8_t* sums = scratch + (gate ? kGatesAt : 0);
      for (int64_t row = begin; row < end; row += kPanelRows, sums += kBlockSums) {
        auto multiply =
            end - row > 16 ? multiply_32x32<kType, kTileBytes> : multiply_16x32<kType, kTileBytes>;
        if (kType == Type::kBf16 && row >= rows.rest_row)
          multiply = end - row > 16 ? multiply_32x32<kType, kHalfBytes>
                                    : multiply_16x32<kType, kHalfBytes>;
        const Panel a = rows.panel(row, k0);
        multiply(a.first, a.second, a.row, b, sums, k_steps, kb == 0, ahead, lines);
        ahead += k_steps * lines * 64;
        if (kb + 1 == k_blocks.count && !gate)
          finish_block<Acc>(p, row, row + kPanelRows < end ? row + kPanelRows : end, block, sums);
      }
    }
  }
}

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
    uint8_t* rest = scratch + kOthersAt;
    rows.rest = rest;
    rows.rest_row = row_begin + (row_end - row_begin) / kPanelRows * kPanelRows;
    copy_rows_to(p, rows.rest_row, row_end, [&](int64_t row, int64_t tile) {
      const int64_t r = row - rows.rest_row;
      return rest + r / 16 * rows.half_bytes + tile * kHalfBytes + r % 16 * kTileBytes;
    });
  }
  asm volatile("" ::: "memory");  // nor does it know that tile loads read memory

  const int64_t panel_bytes = p.weights.k_tiles * kTileStep;
  const int64_t block_bytes = p.weights.k_tiles * step_bytes(kType);
  const int64_t panels = (row_end - row_begin + kPanelRows - 1) / kPanelRows;
  const bool whole = panels <= kPanelsMax && panels * panel_bytes <= kWholeBytes;
  const int64_t fitting = kChunkBytes / panel_bytes;
  const int64_t panels_max = whole                  ? panels
                             : fitting < 1          ? 1
                             : fitting > kPanelsMax ? int64_t{kPanelsMax}
                                                    : fitting;
  const int64_t chunks = (panels + panels_max - 1) / panels_max;
  int64_t window = whole ? block_end - block_begin : kWindowBytes / block_bytes;
  if (p.weights.gated) window -= window % 2;
  if (window < 1) window = p.weights.gated ? 2 : 1;
  for (int64_t first = block_begin; first < block_end; first += window) {
    const int64_t last = first + window < block_end ? first + window : block_end;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t begin = row_begin + panels * chunk / chunks * kPanelRows;
      const int64_t end = row_begin + panels * (chunk + 1) / chunks * kPanelRows;
      multiply_chunk<kType, typename SumOf<kType>::Type>(
          p, rows, begin, end < row_end ? end : row_end, first, last, chunk == 0, scratch);
    }
  }
  _tile_release();
}

int64_t sums_bytes(const Weights&) { return kOthersAt; }
int64_t sums_and_expanded_bytes(const Weights&) { return kOthersAt + kBlockTiles * kTileStep; }
int64_t sums_and_rest_bytes(const Weights& w) { return kOthersAt + w.k_tiles * kTileStep; }

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
