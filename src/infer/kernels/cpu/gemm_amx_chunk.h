// The way of AMX products of many rows through rows, weights and K. The whole story is in
// gemm_amx.cc.
#pragma once

#include "infer/kernels/cpu/gemm_amx_panel.h"

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

// The first address of two times 16 rows: the 64 bytes of K tile t of row r are at
// first + t * tile + r * row, those of row 16 + r at second + t * tile + r * row; tile is
// kTileBytes, in a copy kHalfBytes.
struct Panel {
  const uint8_t *first, *second;
  int64_t row;
};

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

}  // namespace
}  // namespace sis::gemm::amx
