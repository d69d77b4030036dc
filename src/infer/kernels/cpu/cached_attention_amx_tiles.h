// The tile products of cached attention on AMX. The whole story is in cached_attention_amx.cc.
#pragma once

#include "infer/kernels/cpu/cached_attention_amx_work.h"

namespace sis::kernels::amx {
namespace {

// The intrinsics do not tell the compiler that tile loads read memory.
SIS_INLINE void settle_memory() { asm volatile("" ::: "memory"); }

// Tile i = 0..3 of C [32, 32] is the part at row 16 * (i / 2), column 16 * (i % 2).
template <int kTile>
SIS_INLINE void store_tile(float* c, int64_t stride) {
  float* const at = c + kTile / 2 * 16 * stride + kTile % 2 * 16;
  if constexpr (kTile == 0) _tile_stored(0, at, stride * 4);
  if constexpr (kTile == 1) _tile_stored(1, at, stride * 4);
  if constexpr (kTile == 2) _tile_stored(2, at, stride * 4);
  if constexpr (kTile == 3) _tile_stored(3, at, stride * 4);
}
template <int kTile>
SIS_INLINE void load_tile(const float* c, int64_t stride) {
  const float* const at = c + kTile / 2 * 16 * stride + kTile % 2 * 16;
  if constexpr (kTile == 0) _tile_loadd(0, at, stride * 4);
  if constexpr (kTile == 1) _tile_loadd(1, at, stride * 4);
  if constexpr (kTile == 2) _tile_loadd(2, at, stride * 4);
  if constexpr (kTile == 3) _tile_loadd(3, at, stride * 4);
}
template <int kTile>
SIS_INLINE void zero_tile() {
  if constexpr (kTile == 0) _tile_zero(0);
  if constexpr (kTile == 1) _tile_zero(1);
  if constexpr (kTile == 2) _tile_zero(2);
  if constexpr (kTile == 3) _tile_zero(3);
}

// The tile unit's share of one stage: the scores of the next unit, then the sums of the one before.
//
// All of it is a stream of quads: C [32, 32] (+)= A [32, 32] · B [32, 32] on tiles 0-3 = 2x2 of C,
// 4-5 = A, 6-7 = B. One call issues a quarter of a quad, one product with the loads it needs, so
// that products spread evenly among vector instructions. A tile of C is stored when its place is
// needed again, by when it is done.
class TileStream {
 public:
  [[gnu::always_inline]] inline TileStream(const AmxWork& w, const Unit& next, const Unit& before)
      : w_(w), next_(next), before_(before), deep_(w.l.dim / 32) {
    if (next.valid) scores_left_ = next.step.keys / 32;
    if (before.valid) sums_left_ = deep_;
    count_ = (scores_left_ * deep_ + (before.valid ? deep_ * before.step.keys / 32 : 0)) * 4;
  }
  [[gnu::always_inline]] inline int count() const { return count_; }

  [[gnu::always_inline]] inline void quarter() {
    settle_memory();
    switch (at_) {
      case 0:
        begin_quad();
        if (starts_) start_tile<0>();
        _tile_loadd(4, a_, a_stride_);
        _tile_loadd(6, b_, 64);
        _tile_dpbf16ps(0, 4, 6);
        break;
      case 1:
        if (starts_) start_tile<1>();
        _tile_loadd(7, b_ + 256, 64);
        _tile_dpbf16ps(1, 4, 7);
        break;
      case 2:
        if (starts_) start_tile<2>();
        _tile_loadd(5, a_ + 4 * a_stride_, a_stride_);
        _tile_dpbf16ps(2, 5, 6);
        break;
      default:
        if (starts_) start_tile<3>();
        _tile_dpbf16ps(3, 5, 7);
        if (starts_) {
          store_ = to_;
          store_stride_ = to_stride_;
        }
        --depth_;
    }
    at_ = (at_ + 1) & 3;
    settle_memory();
  }

  // Stores what is still in tiles.
  [[gnu::always_inline]] inline void finish() {
    if (!store_) return;
    settle_memory();
    store_tile<0>(store_, store_stride_);
    store_tile<1>(store_, store_stride_);
    store_tile<2>(store_, store_stride_);
    store_tile<3>(store_, store_stride_);
    settle_memory();
  }

 private:
  template <int kTile>
  [[gnu::always_inline]] inline void start_tile() {
    if (store_) store_tile<kTile>(store_, store_stride_);
    if (load_)
      load_tile<kTile>(load_, to_stride_);
    else
      zero_tile<kTile>();
  }

  [[gnu::always_inline]] inline void begin_quad() {
    starts_ = depth_ == 0;
    if (!starts_) {
      if (scoring_) {
        a_ += 16;
        b_ += 512;
      } else {  // the second half of the step
        a_ += 16;
        b_ = before_.step.v[1] + (b_ - before_.step.v[0]);
      }
      return;
    }
    scoring_ = scores_left_ > 0;
    if (scoring_) {
      const int half = next_.step.keys / 32 - scores_left_--;
      depth_ = deep_;
      a_ = w_.queries + next_.row * w_.dwords;
      a_stride_ = w_.l.dim * 2;
      b_ = next_.step.k[half];
      to_ = next_.scores + half * kKvBlockTokens;
      to_stride_ = kStepKeys;
      load_ = nullptr;
    } else {
      const int column = deep_ - sums_left_--;
      depth_ = before_.step.keys / 32;
      a_ = before_.weights;
      a_stride_ = kStepKeys * 2;
      b_ = before_.step.v[0] + column * 512;
      to_ = before_.sums.values + column * 32;
      to_stride_ = w_.l.dim;
      load_ = before_.first ? nullptr : to_;
    }
  }

  const AmxWork& w_;
  const Unit& next_;
  const Unit& before_;
  const int deep_;
  int count_ = 0, scores_left_ = 0, sums_left_ = 0, at_ = 0;
  int depth_ = 0;        // quads left on the same C
  bool starts_ = false;  // this quad is the first of its C
  bool scoring_ = false;
  const float *a_ = nullptr, *b_ = nullptr;
  int64_t a_stride_ = 0, to_stride_ = 0, store_stride_ = 0;
  float *to_ = nullptr, *load_ = nullptr, *store_ = nullptr;
};

// The same products for at most sixteen rows, with the next step's lines asked for in between.
SIS_INLINE void score_few(AmxWork& w, const Unit& u) {
  settle_memory();
  const int dim = w.l.dim;
  for (int half = 0; half < u.step.keys / kKvBlockTokens; ++half) {
    _tile_zero(0);
    _tile_zero(1);
    const float* k = u.step.k[half];
    for (int d = 0; d < dim / 2; d += 16, k += 512) {
      _tile_loadd(4, w.queries + d, dim * 2);
      _tile_loadd(6, k, 64);
      _tile_dpbf16ps(0, 4, 6);
      ask_ahead(w);
      _tile_loadd(7, k + 256, 64);
      _tile_dpbf16ps(1, 4, 7);
      ask_ahead(w);
    }
    float* const to = u.scores + half * kKvBlockTokens;
    _tile_stored(0, to, kStepKeys * 4);
    _tile_stored(1, to + 16, kStepKeys * 4);
  }
  settle_memory();
}
SIS_INLINE void add_few(AmxWork& w, const Unit& u) {
  settle_memory();
  const int dim = w.l.dim;
  for (int c = 0; c < dim; c += 32) {
    float* const to = u.sums.values + c;
    if (u.first) {
      _tile_zero(0);
      _tile_zero(1);
    } else {
      load_tile<0>(to, dim);
      load_tile<1>(to, dim);
    }
    for (int half = 0; half < u.step.keys / kKvBlockTokens; ++half) {
      const float* const v = u.step.v[half] + c * 16;
      _tile_loadd(4, u.weights + half * 16, kStepKeys * 2);
      _tile_loadd(6, v, 64);
      _tile_dpbf16ps(0, 4, 6);
      ask_ahead(w);
      _tile_loadd(7, v + 256, 64);
      _tile_dpbf16ps(1, 4, 7);
      ask_ahead(w);
    }
    store_tile<0>(to, dim);
    store_tile<1>(to, dim);
  }
  settle_memory();
}

}  // namespace
}  // namespace sis::kernels::amx
