// Cached attention on AMX tiles.
//
// Few rows (decoding) wait for memory: their steps run one after another, and between products
// the lines of the next step are asked for. Many rows (prompts) wait for the multipliers: while the
// vector units turn the scores of one unit, a block of rows times a step of keys, into weights, the
// tile unit computes the sums of the one before and the scores of the next one; out-of-order
// execution overlaps what the source interleaves. What the three need together should fit the first
// cache, so weights take the place of scores; queries come and results leave meanwhile, row by row.
// Both do the same arithmetic row by row.
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

#define SIS_EACH _Pragma("GCC unroll 8") for (int i = 0; i < N; ++i)

// 2^x, relative error below 8e-5: a twentieth of what rounding to bf16 does. Several vectors go
// through each step together: the CPU's window is too small to overlap whole chains by itself.
template <int N>
SIS_INLINE void exp2_short(Vec (&x)[N]) {
  Vec r[N], p[N];
  SIS_EACH r[i] = _mm512_reduce_ps(x[i], _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  SIS_EACH p[i] = Simd::fma(Simd::set1(7.802453637e-02f), r[i], Simd::set1(2.260672003e-01f));
  SIS_EACH p[i] = Simd::fma(p[i], r[i], Simd::set1(6.958335042e-01f));
  SIS_EACH p[i] = Simd::fma(p[i], r[i], Simd::set1(9.999252558e-01f));
  SIS_EACH x[i] = _mm512_scalef_ps(p[i], x[i]);
}

// The largest score by lane; with scales, times the factors.
template <bool kScaled>
[[gnu::noinline]] Vec seen_maximum(const Unit& u, int r) {
  const float* const s = u.scores + r * kStepKeys;
  const Vec nothing = Simd::set1(-__builtin_inff());
  const uint64_t seen = u.seen[r];
  Vec top = nothing;
  for (int j = 0; j < u.step.keys; j += 16) {
    Vec v = Simd::load(s + j);
    if constexpr (kScaled) v = Simd::mul(v, u.step.factor[j / 16]);
    top = Simd::max(top, _mm512_mask_mov_ps(nothing, static_cast<__mmask16>(seen >> j), v));
  }
  return top;
}
template <bool kScaled>
SIS_INLINE void row_maximum(const AmxWork& w, const Unit& u, int r) {
  const float* const s = u.scores + r * kStepKeys;
  const auto score = [&](int j) __attribute__((always_inline)) {
    const Vec v = Simd::load(s + j);
    return kScaled ? Simd::mul(v, u.step.factor[j / 16]) : v;
  };
  Vec top;
  if (u.whole)
    top = Simd::max(Simd::max(score(0), score(16)), Simd::max(score(32), score(48)));
  else
    top = seen_maximum<kScaled>(u, r);
  Simd::store(w.maxima + r * 16, top);
}

// Bases of a unit's rows, and what everything so far must shrink by: 1 where the base stays.
template <bool kScaled>
SIS_INLINE void find_bases(const AmxWork& w, Unit& u) {
  const auto max = [](Vec a, Vec b) __attribute__((always_inline)) { return Simd::max(a, b); };
  u.shrinks = false;
  __mmask16 large = 0;
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
    Simd::store(u.base + r, top);
    large |= _mm512_mask_cmp_ps_mask(Simd::mask(clamp(u.count - r, 16)), Simd::abs(top),
                                     Simd::set1(kFusedMax), _CMP_NLE_UQ);
  }
  u.fused = large == 0;
}

// Weights of N / 4 rows and 64 keys as bf16, and their sums by lane: as rounded, so that their
// common error cancels when the row is divided by it; with scales as they are, because what will be
// rounded is the product with the scale. v: scores times factors, less the base.
template <bool kScaled, int N>
SIS_INLINE void store_weights(const Unit& u, Vec (&v)[N], float* p, Vec (&total)[N / 4]) {
  const Vec ones = _mm512_castsi512_ps(_mm512_set1_epi32(0x3F803F80));
  if constexpr (kScaled) {
    SIS_EACH total[i / 4] = Simd::add(total[i / 4], v[i]);
    SIS_EACH v[i] = Simd::mul(v[i], u.step.scale[i % 4]);
  }
  SIS_EACH v[i] = PairNumbers::half_up(v[i]);
#pragma GCC unroll 4
  for (int i = 0; i < N; i += 2) {
    const Vec pairs = PairNumbers::upper_pairs(v[i], v[i + 1]);
    if constexpr (!kScaled) total[i / 4] = PairNumbers::pair_dot(pairs, ones, total[i / 4]);
    Simd::store(p + i / 4 * u.weights_stride + i % 4 * 8, pairs);
  }
}
// Rows that see all 64 keys, or (kCut) some.
template <bool kScaled, bool kCut, int N>
SIS_INLINE void weigh_fused(const AmxWork& w, const Unit& u, int r, Vec (&total)[N / 4]) {
  const float* const s = u.scores + r * kStepKeys;
  const Vec factor = Simd::set1(w.factor);
  Vec v[N];
  SIS_EACH v[i] = _mm512_fmsub_ps(Simd::load(s + i * 16), kScaled ? u.step.factor[i % 4] : factor,
                                  Simd::set1(u.base[r + i / 4]));
  exp2_short(v);
  if constexpr (kCut) {
    SIS_EACH v[i] =
        _mm512_maskz_mov_ps(static_cast<__mmask16>(u.seen[r + i / 4] >> i % 4 * 16), v[i]);
  }
  store_weights<kScaled>(u, v, u.weights + r * u.weights_stride, total);
}
// Any row.
template <bool kScaled>
[[gnu::noinline]] Vec weigh_seen(const AmxWork& w, const Unit& u, int r, Vec total) {
  constexpr int N = 4;
  const float* const s = u.scores + r * kStepKeys;
  const uint64_t seen = u.whole ? ~uint64_t{0} : u.seen[r];
  // A row that has seen no key yet has weights of zero, relative to anything.
  const float top = u.base[r], base = top == -__builtin_inff() ? 0 : top;
  const bool fused = __builtin_fabsf(base) <= kFusedMax;
  Vec v[N], sum[1] = {total};
  SIS_EACH {
    const Vec score = Simd::load(s + i * 16), t = Simd::set1(base);
    const Vec f = kScaled ? u.step.factor[i] : Simd::set1(w.factor);
    v[i] = fused ? _mm512_fmsub_ps(score, f, t) : Simd::sub(Simd::rounded_mul(score, f), t);
  }
  exp2_short(v);
  SIS_EACH v[i] = _mm512_maskz_mov_ps(static_cast<__mmask16>(seen >> i * 16), v[i]);
  store_weights<kScaled>(u, v, u.weights + r * u.weights_stride, sum);
  return sum[0];
}
// Rows r and r + 1.
template <bool kScaled>
SIS_INLINE void weigh_rows(const AmxWork& w, const Unit& u, int r) {
  float* const lanes = w.lanes + r * 16;
  Vec total[2] = {Simd::zero(), Simd::zero()};
  if (!u.first) {
    total[0] = Simd::load(lanes);
    total[1] = Simd::load(lanes + 16);
  }
  if (u.shrinks) {
    total[0] = Simd::mul(total[0], Simd::set1(u.shrink[r]));
    total[1] = Simd::mul(total[1], Simd::set1(u.shrink[r + 1]));
  }
  if (u.fused && u.whole) {
    weigh_fused<kScaled, false, 8>(w, u, r, total);
  } else if (u.fused) {
    weigh_fused<kScaled, true, 8>(w, u, r, total);
  } else {
    total[0] = weigh_seen<kScaled>(w, u, r, total[0]);
    total[1] = weigh_seen<kScaled>(w, u, r + 1, total[1]);
  }
  Simd::store(lanes, total[0]);
  Simd::store(lanes + 16, total[1]);
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

// The vectors' share of one stage, handed out in even portions: the maxima of a unit's scores, then
// its weights, row by row.
template <bool kScaled>
struct VectorStage {
  const AmxWork& w;
  Unit* unit = nullptr;
  // Weighing a row costs about six times as much as looking for its maximum.
  static constexpr int kWeighCost = 6, kLookCost = 1;
  int rows = 0, looked = 0, weighed = 0;
  int portion = 0, due = 0;

  [[gnu::always_inline]] inline explicit VectorStage(const AmxWork& w) : w(w) {}
  [[gnu::always_inline]] inline void start(Unit& u, int portions) {
    unit = &u;
    rows = u.valid ? u.count : 0;
    looked = weighed = due = 0;
    // The last scores are stored between the first two portions.
    const int cost = rows * (kWeighCost + kLookCost);
    portion = portions > 1 ? cost / (portions - 1) : cost;
    due = -portion;
  }
  [[gnu::always_inline]] inline void go_on() {
    due += portion;
    if (looked < rows) look();
    for (; due > 0 && weighed < rows; due -= 2 * kWeighCost) weigh();
  }
  [[gnu::always_inline]] inline void finish() {
    due = INT32_MAX;
    if (looked < rows) look();
    while (weighed < rows) weigh();
  }
  [[gnu::always_inline]] inline void look() {
    for (; due > 0 && looked < rows; due -= kLookCost) row_maximum<kScaled>(w, *unit, looked++);
    if (looked >= rows) find_bases<kScaled>(w, *unit);
  }
  [[gnu::always_inline]] inline void weigh() {
    weigh_rows<kScaled>(w, *unit, weighed);
    weighed += 2;
  }
};

template <bool kScaled>
SIS_INLINE void attend_many(AmxWork& w) {
  Unit units[3];
  Unit *before = &units[0], *now = &units[1], *next = &units[2];
  VectorStage<kScaled> vectors(w);
  const auto hook = [&]() __attribute__((always_inline)) {
    vectors.go_on();
    ask_ahead(w);
    ask_query(w);
    write_finished(w);
  };
  TileStage tiles(hook);
  for (int parity = 0;; parity ^= 1) {
    next_unit(w, parity, *next);
    // Weights take the place of scores: a unit's sums are through with them before the scores of
    // the next but one come.
    next->weights = next->scores;
    next->weights_stride = kStepKeys;
    // The first rows of a span bring its keys nearer for all.
    if (next->valid && next->row == 0) plan_ahead(w, *next);
    if (before->valid && before->shrinks) shrink_values(w, *before);
    const int quads =
        w.l.dim / 32 *
        ((before->valid ? before->step.keys / 32 : 0) + (next->valid ? next->step.keys / 32 : 0));
    vectors.start(*now, 2 * quads);
    if (quads == 0) tiles.finish();
    if (before->valid) tiles.add(w, *before);
    if (next->valid)
      tiles.score(w, *next);
    else
      tiles.finish();
    vectors.finish();
    if (now->valid && now->last) add_totals(w, *now);
    if (before->valid && before->last && before->merges)
      merge_sums(before->all, before->sums, before->count, w.l.dim);
    if (before->valid && before->finishes) w.finished = before->row + before->count;
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
  next_unit(w, 0, u);  // the first one loads the queries
  TilePairs<kScaled> tiles(w, kScaled && u.valid && lift_queries(w));
  for (int parity = 1; u.valid; next_unit(w, parity, u), parity ^= 1) {
    tiles.start(u);
    score_few(w, u, tiles);
    for (int r = 0; r < u.count; ++r) row_maximum<kScaled>(w, u, r);
    tiles.ask();
    find_bases<kScaled>(w, u);
    tiles.ask();
    for (int r = 0; r < u.count; r += 2) weigh_rows<kScaled>(w, u, r);
    if (tiles.values_lifted()) lift_weights(u);
    if (u.shrinks) shrink_values(w, u);
    add_few(w, u, tiles);
    tiles.ask_rest();
    if (!u.last) continue;
    add_totals(w, u);
    if (u.merges) merge_sums(u.all, u.sums, u.count, w.l.dim);
  }
}

void attend(const CachedRows<bf16>& a, int32_t first, int32_t last, float* partials,
            std::byte* scratch) {
  AmxWork w(a, partials, first, last, scratch);

  TileConfig config;
  if (w.rows <= 16) {
    // Products take as long as there are rows.
    const auto rows = static_cast<uint8_t>(w.rows);
    for (const int tile : {0, 1, 2, 3, 4, 5}) config.rows[tile] = rows;
  }
  asm volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);
  if (w.rows > 16)
    w.scaled ? attend_many<true>(w) : attend_many<false>(w);
  else
    w.scaled ? attend_few<true>(w) : attend_few<false>(w);
  _tile_release();
  if (partials) return;
  const Sums sums = sums_at(w.at(w.l.totals), kCachedRowsMax, 0, w.l.dim);
  while (w.written.row < w.rows) write_row(a, sums, w.l.dim, w.written);
}
void finish(const CachedRows<bf16>& a, int32_t spans, float* partials) {
  const Sums sums = merge_spans(a, spans, partials);
  for (RowAt at; at.row < a.tokens * a.group;) write_row(a, sums, a.cache.dim_padded, at);
}

}  // namespace

const CachedAttention<bf16> kCachedBf16{attend, finish};

}  // namespace sis::kernels::amx
