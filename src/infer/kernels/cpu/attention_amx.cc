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
#include "infer/kernels/cpu/attention_amx_tiles.h"
#include "infer/kernels/cpu/attention_amx_work.h"

namespace sis::kernels::amx {
namespace {

constexpr float kFlatMax = 30;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t col_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
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
  if (r % 4 == 0 && w.ahead.each > 0) prefetch_some(w);
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
  const __mmask32 tail = PairNumbers::columns(w.l.dim - 32, w.s.head_dim);
  const float* sum = w.sums + u.row * w.l.dim;
  bf16* out = u.head.out + u.query * w.s.out_stride;
  for (int r = 0; r < u.rows; ++r, out += w.s.out_stride) {
    const Vec inverse = Simd::set1(u.inverse[r]);
    const auto pairs = [&]() __attribute__((always_inline)) {
      return _mm512_castps_si512(PairNumbers::to_pairs(Simd::mul(Simd::load(sum), inverse),
                                                       Simd::mul(Simd::load(sum + 16), inverse)));
    };
    int c = 0;
    for (; c + 32 < w.l.dim; c += 32, sum += 32) _mm512_storeu_si512(out + c, pairs());
    if (tail == 0xFFFFFFFF)
      _mm512_storeu_si512(out + c, pairs());
    else
      _mm512_mask_storeu_epi16(out + c, tail, pairs());
    sum += 32;
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
