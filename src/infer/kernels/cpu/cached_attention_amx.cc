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

// While tiles are in use floating point has one port: what follows counts its operations.

// Weights are powers of two relative to a row's base, its largest score when the base was chosen.
// The base follows only maxima that exceed it by this much: f32 and bf16 keep all their digits, and
// sums seldom have to shrink.
constexpr float kBaseSlack = 8;
// Scores up to here may be weighed with a fused product, whose error then stays far below 1.
constexpr float kFusedMax = 0x1p20f;

// 2^x, relative error below 8e-5: a twentieth of what rounding to bf16 does.
SIS_INLINE Vec exp2_short(Vec x) {
  const Vec r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  Vec p = Simd::fma(Simd::set1(7.802453637e-02f), r, Simd::set1(2.260672003e-01f));
  p = Simd::fma(p, r, Simd::set1(6.958335042e-01f));
  p = Simd::fma(p, r, Simd::set1(9.999252558e-01f));
  return _mm512_scalef_ps(p, x);
}

SIS_INLINE Vec seen_only(const Unit& u, Keys keys, int j, Vec v, Vec other) {
  v = Simd::keep_n(v, clamp(keys.end - u.step.key - j, 16), other);
  return Simd::keep_n(other, clamp(keys.begin - u.step.key - j, 16), v);
}

// The largest score by lane: of what the row sees; with scales, times the factors.
template <bool kScaled>
SIS_INLINE void row_maximum(const AmxWork& w, const Unit& u, int r) {
  const float* const s = u.scores + r * kStepKeys;
  const Vec nothing = Simd::set1(-__builtin_inff());
  const auto score = [&](int j) __attribute__((always_inline)) {
    const Vec v = Simd::load(s + j);
    return kScaled ? Simd::mul(v, u.step.factor[j / 16]) : v;
  };
  Vec top;
  if (u.whole && u.step.keys == kStepKeys) {
    top = Simd::max(Simd::max(score(0), score(16)), Simd::max(score(32), score(48)));
  } else {
    const Keys keys = keys_seen(w.a, u.row + r);
    top = nothing;
    for (int j = 0; j < u.step.keys; j += 16)
      top = Simd::max(top, seen_only(u, keys, j, score(j), nothing));
  }
  Simd::store(w.maxima + r * 16, top);
}

// Bases of a unit's rows, and what everything so far must shrink by: 1 where the base stays.
template <bool kScaled>
SIS_INLINE void find_bases(const AmxWork& w, Unit& u) {
  const auto max = [](Vec a, Vec b) __attribute__((always_inline)) { return Simd::max(a, b); };
  u.shrinks = false;
  for (int r = 0; r < u.count; r += 16) {
    Vec top = PairNumbers::reduce_sixteen(w.maxima + r * 16, max);
    if constexpr (!kScaled) top = Simd::mul(top, Simd::set1(w.factor));
    if (!u.first) {
      const Vec old = Simd::load(u.sums.tops + r);
      const __mmask16 rises =
          _mm512_cmp_ps_mask(top, Simd::add(old, Simd::set1(kBaseSlack)), _CMP_GT_OQ);
      top = _mm512_mask_mov_ps(old, rises, top);
      Simd::store(u.shrink + r,
                  _mm512_mask_mov_ps(Simd::set1(1), rises, Simd::exp2<5>(Simd::sub(old, top))));
      u.shrinks |= rises != 0;
    }
    Simd::store(u.sums.tops + r, top);
  }
}

// Weights of the row's keys as bf16, and their sum by lane: as rounded, so that their common error
// cancels when the row is divided by it; with scales as they are, because what will be rounded is
// the product with the scale.
template <bool kScaled, bool kFused, bool kWhole>
SIS_INLINE Vec weigh_keys(const Unit& u, Keys keys, const float* s, float base, float factor,
                          float* p, Vec total) {
  const auto weight = [&](int j) __attribute__((always_inline)) {
    const Vec v = Simd::load(s + j), top = Simd::set1(base);
    const Vec f = kScaled ? u.step.factor[j / 16] : Simd::set1(factor);
    Vec e =
        exp2_short(kFused ? _mm512_fmsub_ps(v, f, top) : Simd::sub(Simd::rounded_mul(v, f), top));
    if constexpr (!kWhole) e = seen_only(u, keys, j, e, Simd::zero());
    return e;
  };
  const Vec ones = _mm512_castsi512_ps(_mm512_set1_epi32(0x3F803F80));
  const int count = kWhole ? kStepKeys : u.step.keys;
#pragma GCC unroll 2
  for (int j = 0; j < count; j += 32) {
    Vec p0 = weight(j), p1 = weight(j + 16);
    if constexpr (kScaled) {
      total = Simd::add(total, Simd::add(p0, p1));
      p0 = Simd::mul(p0, u.step.scale[j / 16]);
      p1 = Simd::mul(p1, u.step.scale[j / 16 + 1]);
    }
    const Vec pairs = PairNumbers::upper_pairs(PairNumbers::half_up(p0), PairNumbers::half_up(p1));
    if constexpr (!kScaled) total = PairNumbers::pair_dot(pairs, ones, total);
    Simd::store(p + j / 2, pairs);
  }
  return total;
}
template <bool kScaled>
SIS_INLINE void weigh_row(const AmxWork& w, const Unit& u, int r) {
  float* const lanes = w.lanes + r * 16;
  const float* const s = u.scores + r * kStepKeys;
  float* const p = u.weights + r * (kStepKeys / 2);
  Vec total = u.first ? Simd::zero() : Simd::load(lanes);
  if (u.shrinks) total = Simd::mul(total, Simd::set1(u.shrink[r]));
  const float top = u.sums.tops[r];
  if (u.whole && u.step.keys == kStepKeys && __builtin_fabsf(top) <= kFusedMax) {
    total = weigh_keys<kScaled, true, true>(u, {}, s, top, w.factor, p, total);
  } else {
    const Keys keys = keys_seen(w.a, u.row + r);
    // A row that has seen no key yet has weights of zero, relative to anything.
    const float base = top == -__builtin_inff() ? 0 : top;
    total = __builtin_fabsf(base) <= kFusedMax
                ? weigh_keys<kScaled, true, false>(u, keys, s, base, w.factor, p, total)
                : weigh_keys<kScaled, false, false>(u, keys, s, base, w.factor, p, total);
  }
  Simd::store(lanes, total);
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

// The vectors' share of one stage: the weights of a unit, row by row, then the maxima of the
// next, whose last products are done when it comes to them. Handed out in even portions.
template <bool kScaled>
struct VectorStage {
  const AmxWork& w;
  const Unit& now;
  const Unit& next;
  // Weighing a row costs about six times as much as looking for its maximum.
  static constexpr int kWeighCost = 6, kLookCost = 1;
  const int weigh_rows = now.valid ? now.count : 0, look_rows = next.valid ? next.count : 0;
  const int portion;
  int due = 0, weighed = 0, looked = 0;

  [[gnu::always_inline]] inline VectorStage(const AmxWork& w, const Unit& now, const Unit& next,
                                            int portions)
      : w(w),
        now(now),
        next(next),
        portion((weigh_rows * kWeighCost + look_rows * kLookCost) / (portions > 0 ? portions : 1)) {
  }
  // `scored`: all scores of the next unit are there.
  [[gnu::always_inline]] inline void go_on(bool scored) {
    due += portion;
    for (; due > 0 && weighed < weigh_rows; due -= kWeighCost)
      weigh_row<kScaled>(w, now, weighed++);
    if (scored)
      for (; due > 0 && looked < look_rows; due -= kLookCost)
        row_maximum<kScaled>(w, next, looked++);
  }
  [[gnu::always_inline]] inline void finish() {
    while (weighed < weigh_rows) weigh_row<kScaled>(w, now, weighed++);
    while (looked < look_rows) row_maximum<kScaled>(w, next, looked++);
  }
};

template <bool kScaled>
SIS_INLINE void run_stage(const AmxWork& w, const Unit& before, const Unit& now, Unit& next) {
  const int quads =
      w.l.dim / 32 *
      ((before.valid ? before.step.keys / 32 : 0) + (next.valid ? next.step.keys / 32 : 0));
  VectorStage<kScaled> vectors(w, now, next, 2 * quads);
  const auto hook = [&](bool scored) __attribute__((always_inline)) { vectors.go_on(scored); };
  TileStage tiles(hook);
  if (next.valid) tiles.score(w, next);
  if (before.valid) tiles.add(w, before);
  tiles.finish();
  vectors.finish();
  if (next.valid) find_bases<kScaled>(w, next);
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
    for (int r = 0; r < u.count; ++r) row_maximum<kScaled>(w, u, r);
    find_bases<kScaled>(w, u);
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
