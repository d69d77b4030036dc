// The tile products of AMX attention, issued a few at a time between vector instructions.
#pragma once

#include "infer/kernels/cpu/attention_amx_work.h"

namespace sis::kernels::amx {
namespace {

// The intrinsics do not tell the compiler that tile loads read memory.
SIS_INLINE void settle_memory() { asm volatile("" ::: "memory"); }

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
    if (ahead_) prefetch_some(w_);
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

}  // namespace
}  // namespace sis::kernels::amx
