// The tile products of cached attention on AMX. The whole story is in cached_attention_amx.cc.
#pragma once

#include <array>

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

// int8 as bf16 costs half as much when it comes out 2^104 times too small: f16 has the same digits,
// three bits higher, behind an exponent of five bits. So few rows multiply their queries and
// weights with 2^104 beforehand. Products, and with them all sums, are the same to the last bit;
// only factors of 2^23 and more cannot be lifted, and then `copy_pairs` serves.
constexpr int kLift = 104, kLiftedMax = 127 + 127 - kLift;

SIS_INLINE void copy_lowered(const int8_t* from, int dwords, float* to) {
  // Byte i and byte i + 16 beside each other, each times 256.
  alignas(64) static constexpr auto kOrder = [] {
    std::array<uint8_t, 64> order{};
    for (uint8_t i = 0; i < 16; ++i) {
      order[4 * i + 1] = i;
      order[4 * i + 3] = i + 16;
    }
    return order;
  }();
  const __m512i low = _mm512_load_si512(kOrder.data());
  const __m512i high = _mm512_add_epi8(low, _mm512_set1_epi8(32));
  const __m512i significant = _mm512_set1_epi32(static_cast<int>(0x8FFF8FFF));
  const auto widen = [&](__m512i bytes, __m512i order) __attribute__((always_inline)) {
    const __m512i words = _mm512_maskz_permutexvar_epi8(0xAAAAAAAAAAAAAAAA, order, bytes);
    const __m512i digits = _mm512_srai_epi16((__m512i)_mm512_cvtepi16_ph(words), 3);
    return _mm512_castsi512_ps(_mm512_and_si512(digits, significant));
  };
#pragma GCC unroll 4
  for (int i = 0; i < dwords; i += 32) {
    const __m512i bytes = _mm512_loadu_si512(from + 2 * i);
    Simd::store(to + i, widen(bytes, low));
    Simd::store(to + i + 16, widen(bytes, high));
  }
}

// bf16 pairs times 2^104. Zeros, infinities and what is not a number stay what they are; so does
// what a product would take for zero.
SIS_INLINE __m512i lift(__m512i pairs) {
  const __m512i exponent = _mm512_and_si512(pairs, _mm512_set1_epi16(0x7F80));
  const __mmask32 small = _mm512_testn_epi16_mask(pairs, _mm512_set1_epi16(0x7F80));
  const __mmask32 finite = _mm512_cmpneq_epi16_mask(exponent, _mm512_set1_epi16(0x7F80));
  const __m512i lifted = _mm512_mask_add_epi16(pairs, finite, pairs, _mm512_set1_epi16(kLift << 7));
  return _mm512_mask_mov_epi16(lifted, small, _mm512_setzero_si512());
}
// Whether all queries could be lifted; otherwise they are as they were.
SIS_INLINE bool lift_queries(const AmxWork& w) {
  float* const queries = w.at(w.l.queries);
  const int dwords = w.rows * w.dwords;
  __mmask32 large = 0;
  for (int i = 0; i < dwords; i += 16) {
    const __m512i exponent =
        _mm512_and_si512(_mm512_loadu_si512(queries + i), _mm512_set1_epi16(0x7F80));
    large |= _mm512_cmpgt_epi16_mask(exponent, _mm512_set1_epi16(kLiftedMax << 7)) &
             _mm512_cmpneq_epi16_mask(exponent, _mm512_set1_epi16(0x7F80));
  }
  if (large) return false;
  for (int i = 0; i < dwords; i += 16)
    _mm512_storeu_si512(queries + i, lift(_mm512_loadu_si512(queries + i)));
  return true;
}
// Weights are at most 2^9 times their key's scale.
SIS_INLINE bool weights_can_be_lifted(const Unit& u) {
  __mmask16 large = 0;
  for (int i = 0; i < u.step.keys / kLanes; ++i)
    large |= _mm512_cmp_ps_mask(u.step.scale[i], Simd::set1(0x1p13f), _CMP_NLT_UQ);
  return large == 0;
}
SIS_INLINE void lift_weights(const Unit& u) {
  for (int i = 0; i < u.count * (kStepKeys / 2); i += 16)
    _mm512_storeu_si512(u.weights + i, lift(_mm512_loadu_si512(u.weights + i)));
}

// Pairs of neighbouring tiles, [2][16][16] dwords, of one step in the order in which few rows use
// them: all of K, then all of V. int8 is copied to bf16 one pair ahead, so that tile loads need not
// wait for what was just stored.
//
// Between its portions of work this asks for the lines of the next step, a few at a time: requests
// in bunches would hold each other up, and the work behind them.
template <bool kScaled>
class TilePairs {
 public:
  // `lifted`: see kLift.
  [[gnu::always_inline]] inline TilePairs(AmxWork& w, bool lifted)
      : w_(w), ring_(w.at(w.l.tiles)), queries_lifted_(lifted) {}

  [[gnu::always_inline]] inline void start(const Unit& u) {
    plan_ahead(w_, u);
    const Ahead& ahead = w_.ahead;
    for (int i = 0; i < 4; ++i) streams_[i] = ahead.tiles[i];
    at_ = 0;
    lines_ = static_cast<int>(ahead.end / 64);
    each_ = kScaled ? 1 : static_cast<int>(ahead.each / 64);

    const int halves = u.step.keys / kKvBlockTokens;
    constexpr int64_t kPair = kScaled ? 256 : 512;  // dwords of the cache
    count_ = next_ = copied_ = 0;
    for (int d = 0; d < w_.l.dim / 32; ++d)
      for (int half = 0; half < halves; ++half) pairs_[count_++] = u.step.k[half] + d * kPair;
    keys_ = count_;
    for (int c = 0; c < w_.l.dim / 32; ++c)
      for (int half = 0; half < halves; ++half) pairs_[count_++] = u.step.v[half] + c * kPair;
    values_lifted_ = kScaled && weights_can_be_lifted(u);
    copy(1);
  }
  [[gnu::always_inline]] inline bool values_lifted() const { return values_lifted_; }
  // Every pair once, in order.
  [[gnu::always_inline]] inline const float* get() {
    if constexpr (kScaled) {
      copy(2);
      return slot(next_++);
    } else {
      return pairs_[next_++];
    }
  }
  [[gnu::always_inline]] inline void ask() {
    const int count = lines_ < each_ ? lines_ : each_;
    for (int i = 0; i < count; ++i, at_ += 64)
#pragma GCC unroll 4
      for (const std::byte* const stream : streams_) _mm_prefetch(stream + at_, _MM_HINT_T0);
    lines_ -= count;
  }
  [[gnu::always_inline]] inline void ask_rest() {
    while (lines_ > 0) ask();
  }

 private:
  // More would push what was asked for out of the first-level cache.
  static constexpr int kSlots = 4;

  [[gnu::always_inline]] inline float* slot(int pair) const { return ring_ + pair % kSlots * 512; }
  // Until so many pairs are ready.
  [[gnu::always_inline]] inline void copy(int ready) {
    if constexpr (!kScaled) return;
    for (const auto end = least(next_ + ready, count_); copied_ < end; ++copied_) {
      const auto* const from = reinterpret_cast<const int8_t*>(pairs_[copied_]);
      float* const to = slot(copied_);
      const bool lifted = copied_ < keys_ ? queries_lifted_ : values_lifted_;
      for (int i = 0; i < 512; i += 128) {
        if (lifted) [[likely]]
          copy_lowered(from + 2 * i, 128, to + i);
        else
          PairTiles::copy_pairs(from + 2 * i, 128, to + i);
        ask();
      }
      settle_memory();
    }
  }

  AmxWork& w_;
  float* const ring_;
  const bool queries_lifted_;
  bool values_lifted_ = false;
  const float* pairs_[4 * kCachedHeadDimMax / 32];
  int count_ = 0, keys_ = 0, next_ = 0, copied_ = 0;
  const std::byte* streams_[4] = {};
  int64_t at_ = 0;
  int lines_ = 0, each_ = 1;
};

// The same products for at most sixteen rows. What they have in common, queries or weights, is
// loaded once for both halves of a step, or for all of its columns.
template <bool kScaled>
SIS_INLINE void score_few(const AmxWork& w, const Unit& u, TilePairs<kScaled>& tiles) {
  settle_memory();
  const int dim = w.l.dim;
  const bool both = u.step.keys > kKvBlockTokens;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int d = 0; d < dim / 32; ++d) {
    const float* k = tiles.get();
    _tile_loadd(4, w.queries + d * 16, dim * 2);
    _tile_loadd(6, k, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (!kScaled) tiles.ask();
    _tile_loadd(7, k + 256, 64);
    _tile_dpbf16ps(1, 4, 7);
    if (!kScaled) tiles.ask();
    if (!both) continue;
    k = tiles.get();
    _tile_loadd(6, k, 64);
    _tile_dpbf16ps(2, 4, 6);
    if (!kScaled) tiles.ask();
    _tile_loadd(7, k + 256, 64);
    _tile_dpbf16ps(3, 4, 7);
    if (!kScaled) tiles.ask();
  }
  _tile_stored(0, u.scores, kStepKeys * 4);
  _tile_stored(1, u.scores + 16, kStepKeys * 4);
  if (both) {
    _tile_stored(2, u.scores + 32, kStepKeys * 4);
    _tile_stored(3, u.scores + 48, kStepKeys * 4);
  }
  settle_memory();
}
template <bool kScaled>
SIS_INLINE void add_few(const AmxWork& w, const Unit& u, TilePairs<kScaled>& tiles) {
  settle_memory();
  const int dim = w.l.dim;
  const bool both = u.step.keys > kKvBlockTokens;
  _tile_loadd(4, u.weights, kStepKeys * 2);
  if (both) _tile_loadd(5, u.weights + 16, kStepKeys * 2);
  for (int c = 0; c < dim; c += 32) {
    float* const to = u.sums.values + c;
    if (u.first) {
      _tile_zero(0);
      _tile_zero(1);
    } else {
      _tile_loadd(0, to, dim * 4);
      _tile_loadd(1, to + 16, dim * 4);
    }
    const float* v = tiles.get();
    _tile_loadd(6, v, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (!kScaled) tiles.ask();
    _tile_loadd(7, v + 256, 64);
    _tile_dpbf16ps(1, 4, 7);
    if (!kScaled) tiles.ask();
    if (both) {
      v = tiles.get();
      _tile_loadd(6, v, 64);
      _tile_dpbf16ps(0, 5, 6);
      if (!kScaled) tiles.ask();
      _tile_loadd(7, v + 256, 64);
      _tile_dpbf16ps(1, 5, 7);
      if (!kScaled) tiles.ask();
    }
    _tile_stored(0, to, dim * 4);
    _tile_stored(1, to + 16, dim * 4);
  }
  settle_memory();
}

}  // namespace
}  // namespace sis::kernels::amx
