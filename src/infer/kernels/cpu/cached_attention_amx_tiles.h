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

// The tile unit's share of all stages: in each the sums of one unit, then the scores of another.
//
// All of it are quads: C [32, 32] (+)= A [32, 32] · B [32, 32] on tiles 0-3 = 2x2 of C, 4-5 = A,
// 6-7 = B. hook() is called twice in each, so that products spread among vector instructions. A
// tile of C is stored when its place is needed again, by when it is done: the last scores of a
// stage when the next one begins.
template <class Hook>
class TileStage {
 public:
  [[gnu::always_inline]] inline explicit TileStage(Hook& hook) : hook_(hook) {}

  [[gnu::always_inline]] inline void score(const AmxWork& w, const Unit& u) {
    const int64_t stride = int64_t{w.l.dim} * 2;
    const float* const queries = w.queries + u.row * w.dwords;
    for (int half = 0; half < u.step.keys / kKvBlockTokens; ++half) {
      const float* k = u.step.k[half];
      float* const to = u.scores + half * kKvBlockTokens;
      begin(queries, stride, k, to, kStepKeys, false);
      for (int d = 16; d < w.dwords; d += 16) go_on(queries + d, stride, k += 512);
    }
  }
  [[gnu::always_inline]] inline void add(const AmxWork& w, const Unit& u) {
    const int64_t stride = u.weights_stride * 4;
    for (int c = 0; c < w.l.dim; c += 32) {
      float* const to = u.sums.values + c;
      begin(u.weights, stride, u.step.v[0] + c * 16, to, w.l.dim, !u.first);
      if (u.step.keys > kKvBlockTokens) go_on(u.weights + 16, stride, u.step.v[1] + c * 16);
    }
  }
  // Stores what is still in tiles.
  [[gnu::always_inline]] inline void finish() {
    if (!done_) return;
    store_tile<0>(done_, done_stride_);
    store_tile<1>(done_, done_stride_);
    store_tile<2>(done_, done_stride_);
    store_tile<3>(done_, done_stride_);
    done_ = nullptr;
    settle_memory();
  }

 private:
  template <int kTile>
  [[gnu::always_inline]] inline void start(const float* to, int64_t stride, bool load) {
    if (done_) store_tile<kTile>(done_, done_stride_);
    if (load)
      load_tile<kTile>(to, stride);
    else
      zero_tile<kTile>();
  }
  // The first quad of a C.
  [[gnu::always_inline]] inline void begin(const float* a, int64_t a_stride, const float* b,
                                           float* to, int64_t stride, bool load) {
    start<0>(to, stride, load);
    _tile_loadd(4, a, a_stride);
    _tile_stream_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    start<1>(to, stride, load);
    _tile_stream_loadd(7, b + 256, 64);
    _tile_dpbf16ps(1, 4, 7);
    pause();
    start<2>(to, stride, load);
    _tile_loadd(5, a + 4 * a_stride, a_stride);
    _tile_dpbf16ps(2, 5, 6);
    start<3>(to, stride, load);
    _tile_dpbf16ps(3, 5, 7);
    done_ = to;
    done_stride_ = stride;
    pause();
  }
  [[gnu::always_inline]] inline void go_on(const float* a, int64_t a_stride, const float* b) {
    _tile_loadd(4, a, a_stride);
    _tile_stream_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_stream_loadd(7, b + 256, 64);
    _tile_dpbf16ps(1, 4, 7);
    pause();
    _tile_loadd(5, a + 4 * a_stride, a_stride);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    pause();
  }
  [[gnu::always_inline]] inline void pause() {
    settle_memory();
    hook_();
    settle_memory();
  }

  Hook& hook_;
  float* done_ = nullptr;  // the C whose tiles are not stored yet
  int64_t done_stride_ = 0;
};

// Pairs of neighbouring tiles, [2][16][16] dwords, in the order in which few rows use them. int8 is
// copied to bf16 one pair ahead, so that tile loads need not wait for what was just stored.
template <bool kScaled>
class TilePairs {
 public:
  // `pairs` from each of `halves` places, one after another.
  [[gnu::always_inline]] inline TilePairs(const AmxWork& w, const float* first, const float* second,
                                          int pairs, int halves)
      : ring_(w.at(w.l.tiles)), from_{first, second}, pairs_(pairs), count_(pairs * halves) {
    prepare(0);
  }
  // Every pair once, in order.
  [[gnu::always_inline]] inline const float* get(int pair) {
    prepare(pair + 1);
    return kScaled ? slot(pair) : source(pair, 512);
  }

 private:
  [[gnu::always_inline]] inline float* slot(int pair) const { return ring_ + pair % 4 * 512; }
  [[gnu::always_inline]] inline const float* source(int pair, int dwords) const {
    return from_[pair / pairs_] + pair % pairs_ * dwords;
  }
  [[gnu::always_inline]] inline void prepare(int pair) {
    if (!kScaled || pair >= count_) return;
    PairTiles::copy_pairs(reinterpret_cast<const int8_t*>(source(pair, 256)), 512, slot(pair));
    settle_memory();
  }

  float* const ring_;
  const float* const from_[2];
  const int pairs_, count_;
};

// The same products for at most sixteen rows, with the next step's lines asked for in between.
template <bool kScaled>
SIS_INLINE void score_few(AmxWork& w, const Unit& u) {
  settle_memory();
  const int dim = w.l.dim, deep = dim / 32, halves = u.step.keys / kKvBlockTokens;
  TilePairs<kScaled> tiles(w, u.step.k[0], u.step.k[1], deep, halves);
  for (int half = 0, pair = 0; half < halves; ++half) {
    _tile_zero(0);
    _tile_zero(1);
    for (int d = 0; d < deep; ++d, ++pair) {
      const float* const k = tiles.get(pair);
      _tile_loadd(4, w.queries + d * 16, dim * 2);
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
template <bool kScaled>
SIS_INLINE void add_few(AmxWork& w, const Unit& u) {
  settle_memory();
  const int dim = w.l.dim, halves = u.step.keys / kKvBlockTokens;
  for (int c = 0; c < dim; c += 32) {
    float* const to = u.sums.values + c;
    if (u.first) {
      _tile_zero(0);
      _tile_zero(1);
    } else {
      load_tile<0>(to, dim);
      load_tile<1>(to, dim);
    }
    const int dwords = kScaled ? 8 : 16;  // of the cache, per row of 32 columns
    TilePairs<kScaled> tiles(w, u.step.v[0] + c * dwords, u.step.v[1] + c * dwords, 1, halves);
    for (int half = 0; half < halves; ++half) {
      const float* const v = tiles.get(half);
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
