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
// they are long done. Those of all K then go through the epilogue; between products of one panel it
// would hide nothing, and what it costs there is registers: the loop of the products is a third
// faster when all its addresses stay in them.
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
constexpr int64_t kBlockTiles = 16;          // 32 columns x 16 tiles: 32 KB of weights
constexpr int64_t kSpanTiles = 64;           // of K, for 256 rows in L2
constexpr int64_t kChunkBytes = 1 << 20;     // rows of a chunk in a span
constexpr int64_t kWindowSums = 512 * 1024;  // of a window of blocks, where K has several spans
constexpr int64_t kStayingBytes = 1 << 20;   // weights up to this are in L2 for all but one chunk
constexpr int64_t kRing = 4;  // panels whose sums are in tiles, on their way to memory, or finished
constexpr int64_t kFetchAhead = 32 * 1024;  // how far weights are fetched ahead, into L2

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
    finish_rows<F32x16, rows>(*b.product, b.finish.row, b.finish.block, acc, acc + kHalfBytes / 4,
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

// Tiles [begin, end) of K in even parts of at most `most`.
struct Parts {
  Parts(int64_t begin, int64_t end, int64_t most)
      : from(begin), tiles(end - begin), count((tiles + most - 1) / most) {}
  int64_t begin(int64_t part) const { return from + tiles * part / count; }
  int64_t end(int64_t part) const { return begin(part + 1); }
  int64_t from, tiles, count;
};

// How a product is gone through.
struct Walk {
  Walk(const Weights& w, int64_t rows)
      : spans(0, w.k_tiles, kSpanTiles),
        panels((rows + kPanelRows - 1) / kPanelRows),
        chunks((panels + panels_max(w) - 1) / panels_max(w)),
        window(window_of(w, (panels + chunks - 1) / chunks)) {}

  // The most panels of a chunk.
  static int64_t panels_max(const Weights& w) {
    const Parts spans(0, w.k_tiles, kSpanTiles);
    const int64_t fitting = kChunkBytes / ((w.k_tiles + spans.count - 1) / spans.count * kTileStep);
    return fitting < kPanelsMax ? fitting : kPanelsMax;
  }
  // Blocks whose sums wait for the next span.
  static int64_t window_of(const Weights& w, int64_t panels) {
    if (w.k_tiles <= kSpanTiles) return 1;
    const int64_t fitting = kWindowSums / (panels * kBlockSums);
    return fitting > 1 ? fitting : 1;
  }
  // For any number of rows.
  static int64_t sums_bytes(const Weights& w) {
    const int64_t most = panels_max(w) * kBlockSums;
    return w.k_tiles <= kSpanTiles || most > kWindowSums ? most : kWindowSums;
  }

  Parts spans;
  int64_t panels, chunks, window;
};

// Of scratch: sums between parts of K, those on their way out, then what int4 weights expand to or
// a copy of rows.
int64_t ring_at(const Weights& w) { return Walk::sums_bytes(w); }
int64_t others_at(const Weights& w) { return ring_at(w) + kRing * kBlockSums; }

// Rows of a chunk times blocks. While a panel is multiplied, the sums of the one before are stored,
// and those of the one before that, which are in memory by then, are finished between its steps.
template <Type kType, class Acc>
class Chunk {
 public:
  Chunk(const Product& p, const Rows& rows, int64_t begin, int64_t end, uint8_t* scratch)
      : p_(p),
        rows_(rows),
        begin_(begin),
        end_(end),
        panels_((end - begin + kPanelRows - 1) / kPanelRows),
        scratch_(scratch),
        ring_(scratch + ring_at(p.weights)),
        expanded_(scratch + others_at(p.weights)),
        in_tiles_{{}, ring_},
        stored_(in_tiles_) {}

  // Blocks [first, last) of a window. `fetch`: weights are new to L2.
  void multiply(const Walk& walk, int64_t first, int64_t last, bool fetch) {
    for (int64_t span = 0; span < walk.spans.count; ++span) {
      const Parts parts(walk.spans.begin(span), walk.spans.end(span), kBlockTiles);
      for (int64_t block = first; block < last; ++block)
        for (int64_t part = 0; part < parts.count; ++part)
          multiply_part(parts.begin(part), parts.end(part), block, block - first, fetch);
    }
  }
  void finish() {
    store_sums(in_tiles_.sums);
    finish(stored_);
    finish(in_tiles_);
  }

 private:
  struct Sums {
    PanelRows complete;  // whose these are, if over all of K
    uint8_t* sums;
  };

  void finish(const Sums& sums) {
    Between between{&p_, {}, sums.complete, sums.sums};
    finish_rest<Acc>(between);
  }
  void multiply_part(int64_t k0, int64_t k1, int64_t block, int64_t slot, bool fetch) {
    const Weights& w = p_.weights;
    const uint8_t* b = w.tiles + (block * w.k_tiles + k0) * step_bytes(kType);
    const uint8_t* ahead = b + kFetchAhead;
    if constexpr (kType == Type::kInt4) {
      for (int64_t k = 0; k < k1 - k0; ++k)
        expand_int4(b + k * kInt4TileBytes, expanded_ + k * kTileStep);
      b = expanded_;
      asm volatile("" ::: "memory");
    }
    const int64_t lines = fetch ? (step_bytes(kType) / 64 + panels_ - 1) / panels_ : 0;
    uint8_t* sums = scratch_ + slot * panels_ * kBlockSums;
    for (int64_t row = begin_; row < end_; row += kPanelRows, sums += kBlockSums) {
      const Panel a = rows_.panel(row, k0);
      PanelRows panel;
      if (k1 == w.k_tiles) panel = {row, row + kPanelRows < end_ ? row + kPanelRows : end_, block};
      Between between{&p_, panel, stored_.complete, stored_.sums};
      const bool whole = end_ - row > 16, copied = kType == Type::kBf16 && row >= rows_.rest_row;
      const auto go = [&](auto from) {
        auto multiply = whole ? multiply_32x32<kType, kTileBytes, from>
                              : multiply_16x32<kType, kTileBytes, from>;
        if (copied)
          multiply = whole ? multiply_32x32<kType, kHalfBytes, from>
                           : multiply_16x32<kType, kHalfBytes, from>;
        multiply(a.first, a.second, a.row, b, sums, k1 - k0, in_tiles_.sums, ahead, lines, between);
      };
      if (k0 == 0)
        go(std::integral_constant<From, From::kZero>{});
      else if (sums == in_tiles_.sums)
        go(std::integral_constant<From, From::kTiles>{});
      else
        go(std::integral_constant<From, From::kMemory>{});
      ahead += (k1 - k0) * lines * 64;
      finish_rest<Acc>(between);
      stored_ = in_tiles_;
      if (k1 < w.k_tiles)
        in_tiles_ = {{}, sums};
      else
        in_tiles_ = {panel, ring_ + ++turn_ % kRing * kBlockSums};
    }
  }

  const Product& p_;
  const Rows& rows_;
  const int64_t begin_, end_, panels_;
  uint8_t* const scratch_;
  uint8_t* const ring_;
  uint8_t* const expanded_;
  Sums in_tiles_, stored_;
  int64_t turn_ = 0;
};

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
