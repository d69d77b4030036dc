// Cached attention on AMX tiles.
//
// Few rows (decoding) wait for memory: their steps run one after another, and between products
// the lines of the next step are asked for. Many rows (prompts) wait for the multipliers: while the
// vector units turn the scores of one unit, a block of rows times a step of keys, into weights, the
// tile unit computes the scores of the next one and the sums of the one before; out-of-order
// execution overlaps what the source interleaves. Both do the same arithmetic row by row.
#include "infer/kernels/cpu/cached_attention_amx_tiles.h"

namespace sis::kernels::amx {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t col_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Scores to factored scores; their maxima by lane.
SIS_INLINE void scale_row(const AmxWork& w, const Unit& u, int r) {
  float* const s = u.scores + r * kStepKeys;
  Vec top;
  if (u.whole) {
    top = scale_scores<true>(u.step, 0, 0, s);
  } else {
    const Keys keys = keys_seen(w.a, u.row + r);
    top = scale_scores<false>(u.step, keys.begin - u.step.key, keys.end - u.step.key, s);
  }
  Simd::store(w.maxima + r * 16, top);
}

// New maxima of a unit's rows, and what everything so far must shrink by: 1 where the maximum
// stays.
SIS_INLINE void find_tops(const AmxWork& w, Unit& u) {
  const Vec nothing = Simd::set1(-__builtin_inff());
  const auto max = [](Vec a, Vec b) __attribute__((always_inline)) { return Simd::max(a, b); };
  u.shrinks = false;
  for (int r = 0; r < u.count; r += 16) {
    Vec top = PairNumbers::reduce_sixteen(w.maxima + r * 16, max);
    if (!u.first) {
      const Vec old = Simd::load(u.sums.tops + r);
      const __mmask16 rises = _mm512_cmp_ps_mask(top, old, _CMP_GT_OQ);
      top = _mm512_mask_mov_ps(old, rises, top);
      Simd::store(u.shrink + r,
                  _mm512_mask_mov_ps(Simd::set1(1), rises, Simd::exp2<5>(Simd::sub(old, top))));
      u.shrinks |= rises != 0;
    }
    Simd::store(u.sums.tops + r, top);
    // A row that has seen no key yet has weights of zero, relative to anything.
    Simd::store(w.bases + r, _mm512_mask_mov_ps(top, _mm512_cmp_ps_mask(top, nothing, _CMP_EQ_OQ),
                                                Simd::zero()));
  }
}

template <bool kScaled>
SIS_INLINE void weigh_row(const AmxWork& w, const Unit& u, int r) {
  float* const lanes = w.lanes + r * 16;
  Vec total = u.first ? Simd::zero() : Simd::load(lanes);
  if (u.shrinks) total = Simd::mul(total, Simd::set1(u.shrink[r]));
  Simd::store(lanes,
              PairTiles::weigh<kScaled>(u.scores + r * kStepKeys, u.step, Simd::set1(w.bases[r]),
                                        u.weights + r * (kStepKeys / 2), total));
}

SIS_INLINE void shrink_values(const AmxWork& w, const Unit& u) {
  for (int r = 0; r < u.count; ++r) {
    if (u.shrink[r] == 1.0f) continue;
    float* const value = u.sums.values + r * w.l.dim;
    const Vec shrink = Simd::set1(u.shrink[r]);
    for (int c = 0; c < w.l.dim; c += 16)
      Simd::store(value + c, Simd::mul(Simd::load(value + c), shrink));
  }
}

SIS_INLINE void add_totals(const AmxWork& w, const Unit& u) {
  const auto add = [](Vec a, Vec b) __attribute__((always_inline)) { return Simd::add(a, b); };
  for (int r = 0; r < u.count; r += 16)
    Simd::store(u.sums.totals + r, PairNumbers::reduce_sixteen(w.lanes + r * 16, add));
}

// body(r) for all rows of a unit, `quarters` of the tile stream spread among them.
template <class Body>
SIS_INLINE void beside_tiles(TileStream& tiles, int quarters, int rows, Body&& body) {
  int left = quarters, due = 0;
  for (int r = 0; r < rows; ++r) {
    body(r);
    for (due += quarters; due >= rows; due -= rows, --left) tiles.quarter();
  }
  for (; left > 0; --left) tiles.quarter();
}

template <bool kScaled>
SIS_INLINE void run_stage(const AmxWork& w, const Unit& before, Unit& now, const Unit& next) {
  TileStream tiles(w, next, before);
  const int rows = now.valid ? now.count : 0;
  // Scaling and maxima are about a fifth of the vectors' share.
  const int early = now.valid ? tiles.count() / 5 : 0;
  beside_tiles(
      tiles, early, rows, [&](int r) __attribute__((always_inline)) { scale_row(w, now, r); });
  if (now.valid) find_tops(w, now);
  beside_tiles(
      tiles, tiles.count() - early,
      rows, [&](int r) __attribute__((always_inline)) { weigh_row<kScaled>(w, now, r); });
  tiles.finish();
}

template <bool kScaled>
SIS_INLINE void attend_many(AmxWork& w) {
  Unit units[3];
  Unit *before = &units[0], *now = &units[1], *next = &units[2];
  for (int parity = 0;; parity ^= 1) {
    next_unit(w, parity, *next);
    if (before->valid && before->shrinks) shrink_values(w, *before);
    run_stage<kScaled>(w, *before, *now, *next);
    if (now->valid && now->last) add_totals(w, *now);
    if (before->valid && before->last && before->merges)
      merge_sums(before->all, before->sums, before->count, w.l.dim);
    if (!next->valid && !now->valid) break;
    Unit* const oldest = before;
    before = now;
    now = next;
    next = oldest;
  }
}

// At most sixteen rows.
template <bool kScaled>
SIS_INLINE void attend_few(AmxWork& w) {
  Unit u;
  for (int parity = 0;; parity ^= 1) {
    next_unit(w, parity, u);
    if (!u.valid) break;
    plan_ahead(w, u);
    score_few(w, u);
    for (int r = 0; r < u.count; ++r) scale_row(w, u, r);
    find_tops(w, u);
    for (int r = 0; r < u.count; ++r) weigh_row<kScaled>(w, u, r);
    if (u.shrinks) shrink_values(w, u);
    add_few(w, u);
    if (!u.last) continue;
    add_totals(w, u);
    if (u.merges) merge_sums(u.all, u.sums, u.count, w.l.dim);
  }
}

void attend(const CachedRows<bf16>& a, int32_t first, int32_t last, float* partials,
            std::byte* scratch) {
  AmxWork w(a, partials, first, last, scratch);
  load_queries(w);

  TileConfig config;
  asm volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);
  if (w.rows > 16)
    w.scaled ? attend_many<true>(w) : attend_many<false>(w);
  else
    w.scaled ? attend_few<true>(w) : attend_few<false>(w);
  _tile_release();
  if (!partials)
    write_rows(a, sums_at(w.at(w.l.totals), kCachedRowsMax, 0, w.l.dim), w.rows, w.l.dim);
}
void finish(const CachedRows<bf16>& a, int32_t spans, float* partials) {
  finish_cached(a, spans, partials);
}

}  // namespace

const CachedAttention<bf16> kCachedBf16{attend, finish};

}  // namespace sis::kernels::amx
