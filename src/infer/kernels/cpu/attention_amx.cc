// Attention on AMX tiles, the exponentials of one block running beside the products of its
// neighbours.
//
// A unit is one block of 32 queries times one block of keys. While the vector units turn the scores
// of unit u into weights, the tile unit computes the scores of u + 1 and the sums of u - 1:
// out-of-order execution overlaps what the source interleaves.
//
// |q·k| <= |q| |k| bounds the scores of a unit. Where the bound is small no maximum is looked for:
// powers of two up to 2^kFlatMax and down to 2^-kFlatMax keep all their digits in f32 and bf16
// alike.
#include "infer/kernels/cpu/simd_avx512.h"

#include "infer/kernels/cpu/attention_pairs.h"

namespace sis::kernels::amx {
namespace {

constexpr float kFlatMax = 30;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t col_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// The intrinsics do not tell the compiler that tile loads read memory.
SIS_INLINE void settle_memory() { asm volatile("" ::: "memory"); }

struct Unit {
  bool valid = false;
  Head<bf16> head;
  int64_t query = 0;                           // first query of the unit in the sequence
  int64_t key = 0;                             // first key of the packed block
  int block_keys = 0;                          // keys in the packed block
  int span = 0;                                // first key of the unit in the packed block
  int keys = 0;                                // keys of the unit
  int padded = 0;                              // rounded up to 32
  int row = 0;                                 // first query in the group's buffers
  int rows = 0;                                // queries, 1..32
  bool first_keys = false, last_keys = false;  // of the sequence
  bool first_of_block = false;                 // nobody has used the packed block yet
  bool shrinks = false;                        // some of `shrink` may differ from 1
  float bound = 0;                             // no score times factor is larger in magnitude
  float* scores = nullptr;
  float* weights = nullptr;
  [[gnu::always_inline]] inline bool whole() const {
    return valid && rows == kAttentionQueries && keys == 64;
  }
  [[gnu::always_inline]] inline int64_t block_keys_padded() const {
    return round_up(block_keys, 32);
  }

  alignas(64) float shrink[kAttentionQueries];   // what earlier sums are multiplied with
  alignas(64) float inverse[kAttentionQueries];  // 1 / sum of the weights so far
};

// Rows of memory asked for a little at a time, long before they are packed.
struct Prefetch {
  const bf16* rows[3];
  int left[3] = {};
  int each = 0;  // rows per call
};

// Everything that lives as long as the call.
struct Work {
  const AttentionSequence<bf16>& s;
  const AttentionLayout l;
  const int64_t last, blocks_per_head;
  const Vec factor;
  float *keys, *values, *queries, *sums;
  float* tops;         // by query of the group: the exponent its weights are relative to
  float* totals;       // by query: sixteen running sums of weights
  float* lanes;        // sixteen per query of a unit, for reductions
  float* query_norms;  // by block: largest |q|^2
  float* scores[2];
  float* weights[2];
  // Walks group of query blocks, key block, query block, span of keys.
  int64_t block;
  int64_t key = 0;
  int blocks = 0;  // in this group
  int at = 0;      // block in the group
  int span = 0;
  float key_norm = 0;  // largest |k|^2 of the packed keys
  bool flat[32];       // by block in the group: its maxima are zeros so far
  Prefetch ahead;
};

SIS_INLINE void next_unit(Work& w, int parity, Unit& u) {
  // Onwards: span, query block, key block, group.
  if (w.blocks > 0) {
    w.span += w.l.span;
    if (w.span >= least(w.s.tokens - w.key, w.l.key_block)) {
      w.span = 0;
      if (++w.at == w.blocks) {
        w.at = 0;
        w.key += w.l.key_block;
        if (w.key >= w.s.tokens) {
          w.key = 0;
          w.block += w.blocks;
          w.blocks = 0;
        }
      }
    }
  }
  u.valid = w.block < w.last;
  if (!u.valid) return;
  const int64_t head = w.block / w.blocks_per_head, from = w.block % w.blocks_per_head;
  if (w.blocks == 0)
    w.blocks =
        static_cast<int>(least(least(w.blocks_per_head - from, w.last - w.block), w.l.group));
  u.head = head_of(w.s, head);
  u.key = w.key;
  u.block_keys = static_cast<int>(least(w.s.tokens - w.key, w.l.key_block));
  u.span = w.span;
  u.keys = static_cast<int>(least(u.block_keys - w.span, w.l.span));
  u.padded = static_cast<int>(round_up(u.keys, 32));
  u.row = w.at * kAttentionQueries;
  u.query = (from + w.at) * kAttentionQueries;
  u.rows = static_cast<int>(least(w.s.tokens - u.query, kAttentionQueries));
  u.first_keys = w.key == 0 && w.span == 0;
  u.last_keys = w.key + w.span + u.keys == w.s.tokens;
  u.first_of_block = w.at == 0 && w.span == 0;
  u.shrinks = false;
  u.scores = w.scores[parity];
  u.weights = w.weights[parity];
}

// At the first unit of a key block: what will be packed next is the next key block or the next
// head.
SIS_INLINE void plan_prefetch(Work& w, const Unit& u) {
  Prefetch& p = w.ahead;
  const int64_t later = u.key + u.block_keys;
  const int64_t head = w.block / w.blocks_per_head;
  const int columns = w.s.head_dim;
  p.left[0] = p.left[1] = p.left[2] = 0;
  if (later < w.s.tokens) {
    p.rows[1] = u.head.k + later * w.s.qkv_stride;
    p.rows[2] = u.head.v + later * w.s.qkv_stride;
    p.left[1] = p.left[2] = static_cast<int>(least(w.s.tokens - later, w.l.key_block));
  } else if (head + 1 < w.s.heads && w.block + w.blocks < w.last) {
    p.rows[0] = u.head.q + columns;
    p.rows[1] = u.head.k + columns;
    p.rows[2] = u.head.v + columns;
    p.left[0] = static_cast<int>(least(w.s.tokens, int64_t{w.l.group} * kAttentionQueries));
    p.left[1] = p.left[2] = static_cast<int>(least(w.s.tokens, w.l.key_block));
  }
  const int spans = (u.block_keys + w.l.span - 1) / w.l.span;
  const int rows = w.blocks * spans * static_cast<int>(least(w.s.tokens, kAttentionQueries)),
            total = p.left[0] + p.left[1] + p.left[2];
  p.each = (total + rows - 1) / rows;
}
SIS_INLINE void prefetch_some(Work& w) {
  Prefetch& p = w.ahead;
  for (int n = p.each, i = 0; n > 0 && i < 3;) {
    if (p.left[i] == 0) {
      ++i;
      continue;
    }
    for (int c = 0; c < w.s.head_dim; c += 32)
      _mm_prefetch(reinterpret_cast<const char*>(p.rows[i] + c), _MM_HINT_T1);
    p.rows[i] += w.s.qkv_stride;
    --p.left[i];
    --n;
  }
}

// Queries of a unit -> [32, dim] dense, zeros where there are none. Returns the largest |q|^2.
SIS_INLINE float load_unit_queries(const Work& w, const Unit& u) {
  const bf16* const q = u.head.q + u.query * w.s.qkv_stride;
  float* const to = w.queries + u.row * (w.l.dim / 2);
  const int padded = u.rows > 16 ? 32 : 16;
  Vec top = Simd::zero();
  for (int i = 0; i < padded; ++i) {
    Vec norm = Simd::zero();
    for (int c = 0; c < w.l.dim; c += 32) {
      const Vec v =
          i < u.rows ? PairNumbers::load(q + i * w.s.qkv_stride, c, w.s.head_dim) : Simd::zero();
      norm = PairNumbers::pair_dot(v, v, norm);
      Simd::store(to + i * (w.l.dim / 2) + c / 2, v);
    }
    Simd::store(w.lanes + i * 16, norm);
  }
  const auto add = [](Vec a, Vec b) __attribute__((always_inline)) { return Simd::add(a, b); };
  for (int i = 0; i < padded; i += 16)
    top = Simd::max(top, PairNumbers::reduce_sixteen(w.lanes + i * 16, add));
  return Simd::reduce_max(top);
}

// As pack_keys; returns the largest |k|^2.
SIS_INLINE float pack_unit_keys(const Work& w, const Unit& u) {
  const bf16* const k = u.head.k + u.key * w.s.qkv_stride;
  const int padded = static_cast<int>(u.block_keys_padded());
  float* to = w.keys;
  Vec top = Simd::zero();
  for (int j = 0; j < padded; j += 16) {
    Vec norm0 = Simd::zero(), norm1 = Simd::zero();
    const int real = static_cast<int>(least(u.block_keys - j < 0 ? 0 : u.block_keys - j, 16));
    for (int c = 0; c < w.l.dim; c += 32) {
      const __mmask32 columns = PairNumbers::columns(c, w.s.head_dim);
      const bf16* const from = k + j * w.s.qkv_stride + c;
      Vec rows[16];
      if (real == 16) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i)
          rows[i] =
              _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(columns, from + i * w.s.qkv_stride));
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i)
          rows[i] = _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(
              i < real ? columns : 0, from + (i < real ? i * w.s.qkv_stride : 0)));
      }
      Simd::transpose(rows);
#pragma GCC unroll 8
      for (int i = 0; i < 16; i += 2, to += 32) {
        Simd::store(to, rows[i]);
        Simd::store(to + 16, rows[i + 1]);
        norm0 = PairNumbers::pair_dot(rows[i], rows[i], norm0);
        norm1 = PairNumbers::pair_dot(rows[i + 1], rows[i + 1], norm1);
      }
    }
    top = Simd::max(top, Simd::add(norm0, norm1));
  }
  return Simd::reduce_max(top);
}

// The tile unit's share of one stage: the scores of the next unit, then the sums of the one before.
//
// All of it is a stream of quads: C [32, 32] (+)= A [32, 32] · B [32, 32] on tiles 0-3 = 2x2 of C,
// 4-5 = A, 6-7 = B. One call issues a quarter of a quad, one product with the loads it needs, so
// that products spread evenly among vector instructions. A tile of C is stored when its place is
// needed again, by when it is done.
class TileStream {
 public:
  [[gnu::always_inline]] inline TileStream(const Work& w, const Unit& next, const Unit& before)
      : w_(w), next_(next), before_(before) {
    const int depth = w.l.dim / 32;
    if (next.valid) scores_left_ = next.padded / 32 * depth;
    if (before.valid) sums_left_ = before.padded / 32 * depth;
    count_ = (scores_left_ + sums_left_) * 4;
  }
  [[gnu::always_inline]] inline int count() const { return count_; }

  [[gnu::always_inline]] inline void quarter() {
    settle_memory();
    switch (at_) {
      case 0:
        begin_quad();
        if (starts_) {
          if (store_) _tile_stored(0, store_, store_stride_);
          if (load_)
            _tile_loadd(0, load_, to_stride_);
          else
            _tile_zero(0);
        }
        _tile_loadd(4, a_, a_stride_);
        _tile_loadd(6, b_, 64);
        _tile_dpbf16ps(0, 4, 6);
        break;
      case 1:
        if (starts_) {
          if (store_ && store_rows_) _tile_stored(2, store_ + 16 * store_stride_, store_stride_);
          if (load_ && two_rows_)
            _tile_loadd(2, load_ + 16 * to_stride_, to_stride_);
          else
            _tile_zero(2);
        }
        if (two_rows_) {
          _tile_loadd(5, a_ + 16 * a_stride_, a_stride_);
          _tile_dpbf16ps(2, 5, 6);
        }
        break;
      case 2:
        if (starts_) {
          if (store_ && store_columns_) _tile_stored(1, store_ + 64, store_stride_);
          if (load_)
            _tile_loadd(1, load_ + 64, to_stride_);
          else
            _tile_zero(1);
        }
        if (two_columns_) {
          _tile_loadd(7, b_ + b_panel_, 64);
          _tile_dpbf16ps(1, 4, 7);
        }
        break;
      default:
        if (starts_) {
          if (store_ && store_rows_ && store_columns_)
            _tile_stored(3, store_ + 16 * store_stride_ + 64, store_stride_);
          if (load_ && two_rows_)
            _tile_loadd(3, load_ + 16 * to_stride_ + 64, to_stride_);
          else
            _tile_zero(3);
        }
        if (two_rows_ && two_columns_) _tile_dpbf16ps(3, 5, 7);
        end_quad();
    }
    at_ = (at_ + 1) & 3;
    settle_memory();
  }

  // Stores what is still in tiles.
  [[gnu::always_inline]] inline void finish() {
    if (!store_) return;
    settle_memory();
    _tile_stored(0, store_, store_stride_);
    if (store_rows_) _tile_stored(2, store_ + 16 * store_stride_, store_stride_);
    if (store_columns_) _tile_stored(1, store_ + 64, store_stride_);
    if (store_rows_ && store_columns_)
      _tile_stored(3, store_ + 16 * store_stride_ + 64, store_stride_);
    settle_memory();
  }

 private:
  [[gnu::always_inline]] inline void begin_quad() {
    starts_ = depth_ == 0;
    if (!starts_) {
      a_ += 64;
      b_ += 1024;
      return;
    }
    if (scores_left_ > 0) {
      depth_ = w_.l.dim / 32;
      a_ = reinterpret_cast<const char*>(w_.queries + next_.row * (w_.l.dim / 2));
      a_stride_ = w_.l.dim * 2;
      b_ = reinterpret_cast<const char*>(w_.keys + (next_.span + column_) * (w_.l.dim / 2));
      b_panel_ = w_.l.dim * 32;
      two_rows_ = next_.rows > 16;
      two_columns_ = next_.keys - column_ > 16;
      to_ = reinterpret_cast<char*>(next_.scores + column_);
      to_stride_ = int64_t{w_.l.score_stride} * 4;
      load_ = nullptr;
      scores_left_ -= depth_;
      column_ = scores_left_ > 0 ? column_ + 32 : 0;
    } else {
      depth_ = before_.padded / 32;
      a_ = reinterpret_cast<const char*>(before_.weights);
      a_stride_ = int64_t{w_.l.weight_stride} * 4;
      b_panel_ = before_.block_keys_padded() * 32;
      b_ = reinterpret_cast<const char*>(w_.values) + column_ / 16 * b_panel_ + before_.span * 32;
      two_rows_ = before_.rows > 16;
      two_columns_ = true;
      to_ = reinterpret_cast<char*>(w_.sums + before_.row * w_.l.dim + column_);
      to_stride_ = int64_t{w_.l.dim} * 4;
      load_ = before_.first_keys ? nullptr : to_;
      column_ += 32;
    }
  }
  [[gnu::always_inline]] inline void end_quad() {
    if (starts_) {
      store_ = to_;
      store_stride_ = to_stride_;
      store_rows_ = two_rows_;
      store_columns_ = two_columns_;
    }
    --depth_;
  }

  const Work& w_;
  const Unit& next_;
  const Unit& before_;
  int count_ = 0, scores_left_ = 0, sums_left_ = 0, column_ = 0, at_ = 0;
  int depth_ = 0;        // quads left on the same C
  bool starts_ = false;  // this quad is the first of its C
  const char *a_ = nullptr, *b_ = nullptr;
  int64_t a_stride_ = 0, b_panel_ = 0, to_stride_ = 0, store_stride_ = 0;
  char *to_ = nullptr, *load_ = nullptr, *store_ = nullptr;
  bool two_rows_ = false, two_columns_ = false, store_rows_ = false, store_columns_ = false;
};

// New maxima of a unit's rows, and what everything so far must shrink by.
SIS_INLINE void find_tops(const Work& w, Unit& u) {
  for (int r = 0; r < u.rows; ++r)
    Simd::store(w.lanes + r * 16, row_max_lanes(u.scores + r * w.l.score_stride, u.keys));
  const auto max = [](Vec a, Vec b) __attribute__((always_inline)) { return Simd::max(a, b); };
  for (int r = 0; r < u.rows; r += 16) {
    Vec top = Simd::mul(PairNumbers::reduce_sixteen(w.lanes + r * 16, max), w.factor);
    if (!u.first_keys) {
      const Vec old = Simd::load(w.tops + u.row + r);
      top = Simd::max(top, old);
      Simd::store(u.shrink + r, Simd::exp2<5>(Simd::sub(old, top)));
    }
    Simd::store(w.tops + u.row + r, top);
  }
  u.shrinks = !u.first_keys;
}

// Before the weights of a unit: what they are relative to, and sums that start or shrink.
SIS_INLINE void choose_tops(Work& w, Unit& u) {
  bool& flat = w.flat[u.row / kAttentionQueries];
  flat = u.bound <= kFlatMax && (u.first_keys || flat);
  if (!flat) find_tops(w, u);
  float* const totals = w.totals + u.row * 16;
  if (u.first_keys) {
    if (flat) {
      Simd::store(w.tops + u.row, Simd::zero());
      Simd::store(w.tops + u.row + 16, Simd::zero());
    }
    for (int r = 0; r < u.rows; ++r) Simd::store(totals + r * 16, Simd::zero());
  } else if (u.shrinks) {
    for (int r = 0; r < u.rows; ++r)
      Simd::store(totals + r * 16, Simd::mul(Simd::load(totals + r * 16), Simd::set1(u.shrink[r])));
  }
}

SIS_INLINE void weigh_row(Work& w, const Unit& u, int keys, int padded, int r) {
  float* const total = w.totals + (u.row + r) * 16;
  Simd::store(total,
              PairNumbers::weigh_lanes(u.scores + r * w.l.score_stride, keys, padded, w.factor,
                                       Simd::set1(w.tops[u.row + r]),
                                       u.weights + r * w.l.weight_stride, Simd::load(total)));
  if (w.ahead.each > 0) prefetch_some(w);
}

SIS_INLINE void invert_totals(const Work& w, Unit& u) {
  const auto add = [](Vec a, Vec b) __attribute__((always_inline)) { return Simd::add(a, b); };
  for (int r = 0; r < u.rows; r += 16)
    Simd::store(u.inverse + r, _mm512_div_ps(Simd::set1(1), PairNumbers::reduce_sixteen(
                                                                w.totals + (u.row + r) * 16, add)));
}

// Any stage.
SIS_INLINE void run_stage(Work& w, const Unit& before, const Unit& now, const Unit& next) {
  TileStream tiles(w, next, before);
  int left = tiles.count();
  if (now.valid) {
    int due = 0;
    for (int r = 0; r < now.rows; ++r) {
      weigh_row(w, now, now.keys, now.padded, r);
      for (due += tiles.count(); due >= now.rows; due -= now.rows, --left) tiles.quarter();
    }
  }
  for (; left > 0; --left) tiles.quarter();
  tiles.finish();
}

// A stage of three whole units of 32 queries and 64 keys, head_dim 32 * kDepth: the same products,
// laid out at compile time. Bookkeeping between products would take slots of the very port that is
// scarce.
template <int kDepth>
class WholeStage {
 public:
  static constexpr int kSpan = 64;

  [[gnu::always_inline]] inline WholeStage(Work& w, const Unit& now)
      : w_(w),
        score_(now.scores),
        weight_(now.weights),
        top_(w.tops + now.row),
        total_(w.totals + now.row * 16),
        factor_(w.factor),
        ahead_(w.ahead.each > 0) {}

  [[gnu::always_inline]] inline void run(const Unit& before, const Unit& next) {
    settle_memory();
    constexpr int64_t score_bytes = kSpan * 4, weight_bytes = kSpan * 2;
    const char* const queries =
        reinterpret_cast<const char*>(w_.queries) + next.row * (kDepth * 64);
    const char* keys = reinterpret_cast<const char*>(w_.keys) + next.span * (kDepth * 64);
    char* const scores = reinterpret_cast<char*>(next.scores);
    for (int c = 0; c < kSpan / 32; ++c, keys += 2048 * kDepth) {
      const auto starts = [&](auto tile) __attribute__((always_inline)) {
        if (c > 0) store<tile>(scores + (c - 1) * 128, score_bytes);
        zero<tile>();
      };
      quad(queries, 64 * kDepth, keys, 1024 * kDepth, starts);
      for (int d = 1; d < kDepth; ++d)
        quad(queries + d * 64, 64 * kDepth, keys + d * 1024, 1024 * kDepth, nothing);
    }
    const int64_t panel = before.block_keys_padded() * 32;
    const char* values = reinterpret_cast<const char*>(w_.values) + before.span * 32;
    const char* const weights = reinterpret_cast<const char*>(before.weights);
    char* sums = reinterpret_cast<char*>(w_.sums) + before.row * (kDepth * 128);
    const bool load = !before.first_keys;
    for (int c = 0; c < kDepth; ++c, values += 2 * panel, sums += 128) {
      const auto starts = [&](auto tile) __attribute__((always_inline)) {
        if (c > 0)
          store<tile>(sums - 128, kDepth * 128);
        else
          store<tile>(scores + (kSpan / 32 - 1) * 128, score_bytes);
        if (load)
          this->template load<tile>(sums, kDepth * 128);
        else
          zero<tile>();
      };
      quad(weights, weight_bytes, values, panel, starts);
      for (int k = 1; k < kSpan / 32; ++k)
        quad(weights + k * 64, weight_bytes, values + k * 1024, panel, nothing);
    }
    sums -= 128;
    store<0>(sums, kDepth * 128);
    store<1>(sums, kDepth * 128);
    store<2>(sums, kDepth * 128);
    store<3>(sums, kDepth * 128);
    settle_memory();
  }

 private:
  template <int kValue>
  using Tile = std::integral_constant<int, kValue>;

  static constexpr auto nothing = [](auto) {};
  // 32 rows over 8 * kDepth... products: how many rows go before each.
  static constexpr int kProducts = (kSpan / 32) * kDepth * 2 * 4;

  // No tile reads what vectors write in the same stage: nothing to settle between the two.
  [[gnu::always_inline]] inline void row() {
    Simd::store(total_, PairNumbers::weigh_lanes(score_, kSpan, kSpan, factor_, Simd::set1(*top_),
                                                 weight_, Simd::load(total_)));
    score_ += kSpan;
    weight_ += kSpan / 2;
    total_ += 16;
    ++top_;
    if (ahead_) prefetch_some(w_);
  }
  [[gnu::always_inline]] inline void rows() {
    if constexpr (kProducts <= kAttentionQueries) {
#pragma GCC unroll 4
      for (int i = 0; i < kAttentionQueries / kProducts; ++i) row();
    } else {
      if (turn_++ % (kProducts / kAttentionQueries) == 0) row();
    }
  }
  template <class Starts>
  [[gnu::always_inline]] inline void quad(const char* a, int64_t a_stride, const char* b,
                                          int64_t panel, const Starts& starts) {
    rows();
    starts(Tile<0>{});
    _tile_loadd(4, a, a_stride);
    _tile_stream_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    rows();
    starts(Tile<1>{});
    _tile_stream_loadd(7, b + panel, 64);
    _tile_dpbf16ps(1, 4, 7);
    rows();
    starts(Tile<2>{});
    _tile_loadd(5, a + 16 * a_stride, a_stride);
    _tile_dpbf16ps(2, 5, 6);
    rows();
    starts(Tile<3>{});
    _tile_dpbf16ps(3, 5, 7);
  }

  // Tile i is the part of C at row 16 * (i / 2), column 16 * (i % 2).
  template <int kTile>
  SIS_INLINE void store(char* c, int64_t stride) {
    char* const at = c + kTile / 2 * 16 * stride + kTile % 2 * 64;
    if constexpr (kTile == 0) _tile_stored(0, at, stride);
    if constexpr (kTile == 1) _tile_stored(1, at, stride);
    if constexpr (kTile == 2) _tile_stored(2, at, stride);
    if constexpr (kTile == 3) _tile_stored(3, at, stride);
  }
  template <int kTile>
  SIS_INLINE void load(const char* c, int64_t stride) {
    const char* const at = c + kTile / 2 * 16 * stride + kTile % 2 * 64;
    if constexpr (kTile == 0) _tile_loadd(0, at, stride);
    if constexpr (kTile == 1) _tile_loadd(1, at, stride);
    if constexpr (kTile == 2) _tile_loadd(2, at, stride);
    if constexpr (kTile == 3) _tile_loadd(3, at, stride);
  }
  template <int kTile>
  SIS_INLINE void zero() {
    if constexpr (kTile == 0) _tile_zero(0);
    if constexpr (kTile == 1) _tile_zero(1);
    if constexpr (kTile == 2) _tile_zero(2);
    if constexpr (kTile == 3) _tile_zero(3);
  }

  Work& w_;
  const float* score_;
  float* weight_;
  const float* top_;
  float* total_;
  const Vec factor_;
  const bool ahead_;
  int turn_ = 0;
};

SIS_INLINE void shrink_sums(const Work& w, const Unit& u) {
  for (int r = 0; r < u.rows; ++r) {
    if (u.shrink[r] == 1.0f) continue;
    float* const sum = w.sums + (u.row + r) * w.l.dim;
    const Vec shrink = Simd::set1(u.shrink[r]);
    for (int c = 0; c < w.l.dim; c += 16)
      Simd::store(sum + c, Simd::mul(Simd::load(sum + c), shrink));
  }
}

SIS_INLINE void finish_unit(const Work& w, const Unit& u) {
  for (int r = 0; r < u.rows; ++r) {
    const float* const sum = w.sums + (u.row + r) * w.l.dim;
    bf16* const out = u.head.out + (u.query + r) * w.s.out_stride;
    const Vec inverse = Simd::set1(u.inverse[r]);
    for (int c = 0; c < w.l.dim; c += 32) {
      const Vec pairs = PairNumbers::to_pairs(Simd::mul(Simd::load(sum + c), inverse),
                                              Simd::mul(Simd::load(sum + c + 16), inverse));
      _mm512_mask_storeu_epi16(out + c, PairNumbers::columns(c, w.s.head_dim),
                               _mm512_castps_si512(pairs));
    }
  }
}

}  // namespace

void attention(const AttentionSequence<bf16>& s, int64_t first, int64_t last, std::byte* scratch) {
  const AttentionLayout l = attention_layout(s.head_dim);
  const auto at = [&](size_t offset) __attribute__((always_inline)) {
    return reinterpret_cast<float*>(scratch + offset);
  };
  const int rows = l.group * kAttentionQueries;
  Work w{.s = s,
         .l = l,
         .last = last,
         .blocks_per_head = (s.tokens + kAttentionQueries - 1) / kAttentionQueries,
         .factor = Simd::set1(s.scale * kLog2E),
         .keys = at(l.keys),
         .values = at(l.values),
         .queries = at(l.queries),
         .sums = at(l.sums),
         .tops = at(l.stats),
         .totals = at(l.stats) + 2 * rows,
         .lanes = at(l.stats) + 18 * rows,
         .query_norms = at(l.stats) + rows,
         .scores = {at(l.scores[0]), at(l.scores[1])},
         .weights = {at(l.weights[0]), at(l.weights[1])},
         .block = first};

  TileConfig config;
  asm volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);

  Unit units[3];
  Unit *before = &units[0], *now = &units[1], *next = &units[2];
  for (int parity = 0;; parity ^= 1) {
    next_unit(w, parity, *next);
    if (next->valid) {
      float& query_norm = w.query_norms[next->row / kAttentionQueries];
      if (next->first_keys) query_norm = load_unit_queries(w, *next);
      if (next->first_of_block) {
        w.key_norm = pack_unit_keys(w, *next);
        plan_prefetch(w, *next);
      }
      next->bound =
          __builtin_sqrtf(query_norm) * __builtin_sqrtf(w.key_norm) * Simd::first(w.factor);
    }
    if (before->valid) {
      if (before->first_of_block)
        PairNumbers::pack_values(before->head.v + before->key * s.qkv_stride, s.qkv_stride,
                                 before->block_keys, static_cast<int>(before->block_keys_padded()),
                                 s.head_dim, l.dim, w.values);
      if (before->shrinks) shrink_sums(w, *before);
    }
    if (now->valid) choose_tops(w, *now);
    const bool whole = before->whole() && now->whole() && next->whole();
    if (whole && l.dim == 64)
      WholeStage<2>(w, *now).run(*before, *next);
    else if (whole && l.dim == 32)
      WholeStage<1>(w, *now).run(*before, *next);
    else if (whole && l.dim == 128)
      WholeStage<4>(w, *now).run(*before, *next);
    else
      run_stage(w, *before, *now, *next);
    if (now->valid && now->last_keys) invert_totals(w, *now);
    if (before->valid && before->last_keys) finish_unit(w, *before);
    if (!next->valid && !now->valid) break;
    Unit* const oldest = before;
    before = now;
    now = next;
    next = oldest;
  }
  _tile_release();
}

}  // namespace sis::kernels::amx
