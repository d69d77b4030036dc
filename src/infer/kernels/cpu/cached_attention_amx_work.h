// Units of work of cached attention on AMX: which comes next and what it reads. The whole story is
// in cached_attention_amx.cc.
#pragma once

#include "infer/kernels/cpu/cached_attention_pairs.h"

namespace sis::kernels::amx {
namespace {

// A block of rows times a step of keys.
struct Unit {
  bool valid = false;
  int row = 0, count = 0;
  Step step;
  bool first = false, last = false;  // of these rows in this span
  bool whole = false;                // all rows see all keys, and those are a whole step
  bool fused = false;                // their bases are small enough for a fused product
  bool merges = false;               // at the end, sums into `all`
  bool finishes = false;             // at the end, `all` are what the rows come out as
  bool shrinks = false;              // some of `shrink` may differ from 1
  Sums sums, all;
  float* scores = nullptr;
  float* weights = nullptr;
  int weights_stride = kStepKeys / 2;
  alignas(64) float base[kRowBlock];    // what weights are relative to
  alignas(64) float shrink[kRowBlock];  // what earlier sums are multiplied with
  uint64_t seen[kRowBlock];             // unless whole: a bit for every key
};

// Lines asked for a few at a time, in four streams: both halves of two blocks.
struct Ahead {
  const std::byte* tiles[4];
  int64_t at = 0, end = 0;
  int64_t each = 0;  // bytes of every stream per call
};

// A row, and where it lies in queries and results.
struct RowAt {
  int row = 0, token = 0, head = 0;

  [[gnu::always_inline]] inline void step(int group) {
    ++row;
    if (++head < group) return;
    head = 0;
    ++token;
  }
};

struct AmxWork : Work<PairTiles> {
  const float* const queries;
  const float factor;   // of scores: powers of two instead of e
  float* const maxima;  // [32, 16]: by row and lane
  float* const lanes;   // [32, 16]: sixteen running sums of weights
  float* const partials;
  // Walks span, block of rows, step.
  const int32_t first_span, last_span;
  int32_t span;
  int row = -kRowBlock;
  int64_t key = 0;
  Keys keys{0, 0};  // of these rows in this span
  Keys all_see{0, 0};
  Sums sums{}, all{};
  int turn = 0;
  bool merges = false, finishes = false;
  bool started[kCachedRowsMax / kRowBlock] = {};
  Ahead ahead;
  // Rows move between products: queries come nearer before their block begins, results leave after
  // it has finished.
  RowAt asked, written;
  int finished = 0;  // rows before this one
  bool write_next = false;

  [[gnu::always_inline]] inline AmxWork(const CachedRows<bf16>& a, float* partials, int32_t first,
                                        int32_t last, std::byte* scratch)
      : Work<PairTiles>(a, scratch),
        queries(at(l.queries)),
        factor(a.scale * kLog2E),
        maxima(at(l.lanes)),
        lanes(maxima + kRowBlock * 16),
        partials(partials),
        first_span(first),
        last_span(last),
        span(first) {
    // Units before and after this one have copies as well, of the neighbouring span even. Few rows
    // copy two tiles at a time, just before they are used.
    if (rows > 16)
      slots = 2 * kSpanKeys / kKvBlockTokens;
    else
      direct = true;
  }
};

// The next block of rows that sees anything of its span; false when there is none.
SIS_INLINE bool next_rows(AmxWork& w) {
  for (;;) {
    w.row += kRowBlock;
    if (w.row >= w.rows) {
      w.row = 0;
      ++w.span;
    }
    if (w.span >= w.last_span) return false;
    const int64_t begin = int64_t{w.span} * kSpanKeys, end = begin + kSpanKeys;
    const int count = static_cast<int>(least(w.rows - w.row, kRowBlock));
    if (w.shared && w.row == 0) {
      const int64_t from = greatest(keys_seen(w.a, 0).begin, begin);
      const int64_t to = least(keys_seen(w.a, w.rows - 1).end, end);
      for (int64_t key = from / kKvBlockTokens * kKvBlockTokens; key < to; key += kKvBlockTokens)
        copy_block(w, key);
    }
    const Keys first = keys_seen(w.a, w.row), last = keys_seen(w.a, w.row + count - 1);
    w.all_see = {last.begin, first.end};
    w.keys = {greatest(first.begin, begin), least(last.end, end)};
    const int dim = w.l.dim;
    w.all = w.partials ? sums_at(w.partials + (w.span - w.first_span) * partial_floats(w.rows, dim),
                                 w.rows, w.row, dim)
                       : sums_at(w.at(w.l.totals), kCachedRowsMax, w.row, dim);
    if (w.keys.begin < w.keys.end) {
      bool& started = w.started[w.row / kRowBlock];
      if (!started) load_queries(w, w.row, count);
      w.merges = started && !w.partials;
      w.finishes = !w.partials && last.end <= end;
      started = true;
      // The sums of the two blocks before may still be in the making: three take turns.
      w.turn = (w.turn + 1) % 3;
      w.sums = w.merges ? sums_at(w.at(w.l.span) + w.turn * partial_floats(kRowBlock, dim),
                                  kRowBlock, 0, dim)
                        : w.all;
      w.key = w.keys.begin / kStepKeys * kStepKeys;
      return true;
    }
    if (w.partials)
      for (int r = 0; r < count; ++r) w.all.tops[r] = -__builtin_inff();
  }
}

// Which keys of the unit its rows see: the same ones for all rows of a token.
SIS_INLINE void find_seen(const AmxWork& w, Unit& u) {
  int token_end = 0;
  uint64_t seen = 0;
  for (int r = 0; r < u.count; ++r) {
    if (r == token_end) {
      const int row = u.row + r;
      token_end = r + w.a.group - row % w.a.group;
      const Keys keys = keys_seen(w.a, row);
      const auto below = [&](int64_t key) __attribute__((always_inline)) {
        return _bzhi_u64(~uint64_t{0}, static_cast<unsigned>(clamp(key - u.step.key, u.step.keys)));
      };
      seen = below(keys.end) & ~below(keys.begin);
    }
    u.seen[r] = seen;
  }
  if (u.count % 2 != 0) u.seen[u.count] = 0;  // rows are weighed in pairs
}

SIS_INLINE void next_unit(AmxWork& w, int parity, Unit& u) {
  w.key += kStepKeys;
  u.first = false;
  if (w.key >= w.keys.end) {
    u.valid = w.span < w.last_span && next_rows(w);
    if (!u.valid) return;
    u.first = true;
  }
  u.valid = true;
  u.row = w.row;
  u.count = static_cast<int>(least(w.rows - w.row, kRowBlock));
  take_step(w, w.key, w.keys, u.step);
  u.last = w.key + kStepKeys >= w.keys.end;
  u.whole =
      w.key >= w.all_see.begin && w.key + kStepKeys <= w.all_see.end && u.step.keys == kStepKeys;
  if (!u.whole) find_seen(w, u);
  u.merges = w.merges;
  u.finishes = w.finishes && u.last;
  u.sums = w.sums;
  u.all = w.all;
  u.shrinks = false;
  u.scores = w.at(w.l.scores) + parity * (kRowBlock * kStepKeys);
  u.weights = w.at(w.l.weights) + parity * (kRowBlock * kStepKeys / 2);
}

// What the next step will read; where there is none, what the next call will.
//
// int8 has short steps, over before memory answers, and room in the first-level cache: there the
// first halves of blocks are asked for a step earlier still.
SIS_INLINE void plan_ahead(AmxWork& w, const Unit& u) {
  constexpr int64_t kFarMax = 12 << 10;  // bytes of a block
  Ahead& a = w.ahead;
  const int64_t half = w.a.cache.head_bytes / 2;
  const std::byte* blocks[4];  // of two steps
  const std::byte* const* after = w.a.after;
  int64_t key = u.step.key + kStepKeys;
  for (int i = 0; i < 4; i += 2, key += kStepKeys) {
    const bool here = key < w.keys.end;
    blocks[i] = here ? w.block(key) : *after++;
    if (!here)
      blocks[i + 1] = *after++;
    else
      blocks[i + 1] = key + kKvBlockTokens < w.keys.end ? w.block(key + kKvBlockTokens) : nullptr;
  }
  const int later = w.rows <= 16 && w.scaled && 2 * half <= kFarMax ? 2 : 0;
  a.tiles[0] = blocks[0] ? blocks[0] + half : nullptr;
  a.tiles[1] = blocks[1] ? blocks[1] + half : nullptr;
  a.tiles[2] = blocks[later];
  a.tiles[3] = blocks[later + 1];
  // Without a place of its own a stream repeats another.
  const std::byte* some = nullptr;
  for (const std::byte* tiles : a.tiles)
    if (tiles) some = tiles;
  for (const std::byte*& tiles : a.tiles)
    if (!tiles) tiles = some;
  const int calls = u.step.keys / kKvBlockTokens * w.l.dim / 32 * 4;
  a.at = 0;
  a.end = some ? half : 0;
  a.each = half / calls / 64 * 64;
}
SIS_INLINE void ask_ahead(AmxWork& w) {
  Ahead& a = w.ahead;
  const int64_t end = least(a.at + a.each, a.end);
  for (; a.at < end; a.at += 64)
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) _mm_prefetch(a.tiles[i] + a.at, _MM_HINT_T0);
}

// Queries of the block after the one at hand, a line at a time.
SIS_INLINE void ask_query(AmxWork& w) {
  RowAt& r = w.asked;
  if (r.row >= least(w.rows, w.row + 2 * kRowBlock)) return;
  const auto* const q = reinterpret_cast<const std::byte*>(w.a.q + r.token * w.a.q_stride +
                                                           r.head * w.a.cache.head_dim);
  for (int64_t at = 0; at < w.a.cache.head_dim * 2; at += 64) _mm_prefetch(q + at, _MM_HINT_T1);
  r.step(w.a.group);
}

SIS_INLINE void write_row(const CachedRows<bf16>& a, const Sums& sums, int dim, RowAt& at) {
  const float* const sum = sums.values + at.row * dim;
  bf16* const out = a.out + at.token * a.out_stride + at.head * a.cache.head_dim;
  const Vec factor = Simd::set1(1.0f / sums.totals[at.row]);
  for (int c = 0; c < a.cache.head_dim; c += 32) {
    const Vec low = Simd::mul(Simd::load(sum + c), factor);
    const Vec high = Simd::mul(Simd::load(sum + c + 16), factor);
    _mm512_mask_storeu_epi16(out + c, PairNumbers::columns(c, a.cache.head_dim),
                             _mm512_castps_si512(PairNumbers::to_pairs(low, high)));
  }
  at.step(a.group);
}
// A row that has finished, every other time: the lines it goes to come from far.
SIS_INLINE void write_finished(AmxWork& w) {
  if (w.written.row >= w.finished) return;
  w.write_next = !w.write_next;
  if (w.write_next)
    write_row(w.a, sums_at(w.at(w.l.totals), kCachedRowsMax, 0, w.l.dim), w.l.dim, w.written);
}

}  // namespace
}  // namespace sis::kernels::amx
