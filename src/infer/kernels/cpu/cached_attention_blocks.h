// What the variants of cached attention share: which keys a block of rows sees, the softmax of a
// step of keys, partial results and their merging.
//
// Rows are worked on in blocks of kRowBlock, keys in steps of kStepKeys at absolute multiples. A
// `Products` says how queries, keys and weights are fed to the multipliers; everything is counted
// in dwords, one f32 or two bf16. It works on tiles in its own element type, which are those of the
// cache itself or copies: of the step at hand where one block of rows wants them, of the whole span
// where several do.
//
// A row's arithmetic never looks at other rows. Keys that it must not see have weight zero, and
// adding zeros changes nothing: so it does not matter which of them are looked at for the sake of
// its neighbours.
#pragma once

#include "infer/kernels/cpu/attention_blocks.h"

#include "infer/kernels/cached_attention_scratch.h"

namespace sis::kernels {
namespace {

constexpr int kStepVectors = kStepKeys / kLanes;

SIS_INLINE int clamp(int64_t n, int most) {
  return static_cast<int>(n < 0 ? 0 : n > most ? most : n);
}
SIS_INLINE int64_t greatest(int64_t a, int64_t b) { return a > b ? a : b; }

// Running maxima, sums of weights and weighted values of rows.
struct Sums {
  float* tops;
  float* totals;
  float* values;  // [rows, dim]
};
// Those of `row` on in a partial result of `rows` rows.
SIS_INLINE Sums sums_at(float* partial, int64_t rows, int64_t row, int64_t dim) {
  const int64_t padded = round_up(rows, kRowBlock);
  return {partial + row, partial + padded + row, partial + 2 * padded + row * dim};
}

// Keys [begin, end) of the cache.
struct Keys {
  int64_t begin, end;
};
template <class T>
SIS_INLINE Keys keys_seen(const CachedRows<T>& a, int64_t row) {
  const int64_t i = a.position + row / a.group;
  Keys keys{0, a.causal ? i + 1 : int64_t{a.keys}};
  if (a.window > 0) {
    keys.begin = greatest(0, i - a.window + 1);
    keys.end = least(keys.end, i + a.window);
  }
  return keys;
}

// A step's tiles, in the products' element type.
struct Step {
  int64_t key;  // first
  int keys;     // 32 or 64
  const float* k[2];
  const float* v[2];
  Vec factor[kStepVectors];  // what scores are multiplied with, by key
  Vec scale[kStepVectors];   // the same of weights, where the cache is int8
};

// Scores times factors, minus infinity where a key must not be seen ([lo, hi) of the step may).
// Returns the maxima by lane.
template <bool kWhole>
SIS_INLINE Vec scale_scores(const Step& step, int64_t lo, int64_t hi, float* s) {
  const Vec lowest = Simd::set1(-__builtin_inff());
  Vec top = lowest;
  for (int j = 0; j < step.keys; j += kLanes) {
    Vec v = Simd::rounded_mul(Simd::load(s + j), step.factor[j / kLanes]);
    if constexpr (!kWhole) {
      v = Simd::keep_n(v, clamp(hi - j, kLanes), lowest);
      v = Simd::keep_n(lowest, clamp(lo - j, kLanes), v);
    }
    Simd::store(s + j, v);
    top = Simd::max(top, v);
  }
  return top;
}

template <class P>
struct Work {
  using T = typename P::Element;
  const CachedRows<T>& a;
  const CachedScratch l;
  std::byte* const scratch;
  const int rows, dwords;
  bool direct;        // steps point into the cache
  const bool scaled;  // int8
  const bool shared;  // copies of a whole span
  int slots;          // for copies of blocks

  [[gnu::always_inline]] inline Work(const CachedRows<T>& a, std::byte* scratch)
      : a(a),
        l(cached_scratch(a.cache.dim_padded)),
        scratch(scratch),
        rows(a.tokens * a.group),
        dwords(l.dim / P::kPerDword),
        direct(a.cache.dtype == P::kTileType),
        scaled(a.cache.dtype == DType::kI8),
        shared(!direct && rows > kRowBlock),
        slots(shared ? kSpanKeys / kKvBlockTokens : 2) {}

  [[gnu::always_inline]] inline float* at(size_t offset) const {
    return reinterpret_cast<float*>(scratch + offset);
  }
  [[gnu::always_inline]] inline const std::byte* block(int64_t key) const {
    return a.cache.data + a.blocks[key / kKvBlockTokens] * a.cache.block_bytes;
  }
  // Copies of K and V of a block.
  [[gnu::always_inline]] inline float* copy(int64_t key) const {
    const int64_t slot = key / kKvBlockTokens % slots;
    return at(l.tiles) + slot * 2 * kKvBlockTokens * dwords;
  }
};

template <class P>
SIS_INLINE void copy_block(const Work<P>& w, int64_t key) {
  const std::byte* const from = w.block(key);
  float* const to = w.copy(key);
  P::copy_keys(w.a.cache.dtype, from, w.l.dim, to);
  P::copy_values(w.a.cache.dtype, from + w.a.cache.tile_bytes, w.l.dim,
                 to + kKvBlockTokens * w.dwords);
}

// What the next step will read, fetched into L2 in the order it lies in while this one is computed:
// the tiles of a step fill L1 (on Zen 4 bf16 decoding reads at 0.9 of memory's rate so, at 0.6 with
// L1 as the target).
class NextTiles {
 public:
  [[gnu::always_inline]] inline void add(const std::byte* block, int64_t bytes) {
    if (block) parts_[count_++] = {block, block + bytes};
  }
  // To be called at least `times` times.
  [[gnu::always_inline]] inline void spread(int times) {
    int64_t lines = 0;
    for (int i = 0; i < count_; ++i) lines += (parts_[i].end - parts_[i].at + 63) / 64;
    at_once_ = static_cast<int>((lines + times - 1) / times);
  }
  [[gnu::always_inline]] inline void fetch() {
    for (int lines = at_once_; lines > 0 && part_ < count_;) {
      Part& part = parts_[part_];
      for (; lines > 0 && part.at < part.end; --lines, part.at += 64)
        _mm_prefetch(part.at, _MM_HINT_T1);
      if (part.at >= part.end) ++part_;
    }
  }

 private:
  struct Part {
    const std::byte *at, *end;
  };
  Part parts_[2] = {};
  int count_ = 0, part_ = 0, at_once_ = 0;
};

template <class P>
SIS_INLINE void take_step(const Work<P>& w, int64_t key, Keys keys, Step& step) {
  const auto& cache = w.a.cache;
  step.key = key;
  step.keys = keys.end - key > kKvBlockTokens ? kStepKeys : kKvBlockTokens;
  const float factor = w.a.scale * kLog2E;
  for (int half = 0; half < step.keys / kKvBlockTokens; ++half) {
    int64_t at = key + half * kKvBlockTokens;
    // A block before all windows may be gone; any other does where nothing is seen.
    if (at + kKvBlockTokens <= keys.begin) at += kKvBlockTokens;
    const std::byte* const tiles = w.block(at);
    if (w.direct) {
      step.k[half] = reinterpret_cast<const float*>(tiles);
      step.v[half] = reinterpret_cast<const float*>(tiles + cache.tile_bytes);
    } else {
      if (!w.shared) copy_block(w, at);
      step.k[half] = w.copy(at);
      step.v[half] = w.copy(at) + kKvBlockTokens * w.dwords;
    }
    const float* const scales = reinterpret_cast<const float*>(tiles + 2 * cache.tile_bytes);
    for (int j = 0; j < kKvBlockTokens; j += kLanes) {
      const int i = (half * kKvBlockTokens + j) / kLanes;
      step.factor[i] = Simd::set1(factor);
      if (!w.scaled) continue;
      step.factor[i] = Simd::mul(Simd::load(scales + j), step.factor[i]);
      step.scale[i] = Simd::load(scales + kKvBlockTokens + j);
    }
  }
}

// Scores of rows [row, row + count) become weights; sums so far shrink to new maxima.
template <class P>
SIS_INLINE void weigh_step(const Work<P>& w, const Step& step, int row, int count, bool whole,
                           bool first, float* scores, float* weights, float* lanes,
                           const Sums& sums) {
  for (int r = 0; r < count; ++r) {
    float* const s = scores + r * kStepKeys;
    Vec top_lanes;
    if (whole) {
      top_lanes = scale_scores<true>(step, 0, 0, s);
    } else {
      const Keys keys = keys_seen(w.a, row + r);
      top_lanes = scale_scores<false>(step, keys.begin - step.key, keys.end - step.key, s);
    }
    const float found = Simd::reduce_max(top_lanes);
    Vec total = Simd::load(lanes + r * kLanes);
    if (found > sums.tops[r]) {
      if (!first) {
        const Vec shrink = Simd::exp2<5>(Simd::set1(sums.tops[r] - found));
        total = Simd::mul(total, shrink);
        float* const value = sums.values + r * w.l.dim;
        for (int c = 0; c < w.l.dim; c += kLanes)
          Simd::store(value + c, Simd::mul(Simd::load(value + c), shrink));
      }
      sums.tops[r] = found;
    }
    // A row that has seen no key yet has weights of zero, relative to anything.
    const float top = sums.tops[r] == -__builtin_inff() ? 0 : sums.tops[r];
    float* const p = weights + r * (kStepKeys / P::kPerDword);
    total = w.scaled ? P::template weigh<true>(s, step, Simd::set1(top), p, total)
                     : P::template weigh<false>(s, step, Simd::set1(top), p, total);
    Simd::store(lanes + r * kLanes, total);
  }
}

// Rows [row, row + count) over the keys [keys.begin, keys.end) of one span, from nothing.
template <class P>
SIS_INLINE void attend_span(const Work<P>& w, int row, int count, Keys keys, const Sums& sums) {
  float* const scores = w.at(w.l.scores);
  float* const weights = w.at(w.l.weights);
  float* const lanes = w.at(w.l.lanes);
  for (int r = 0; r < count; ++r) {
    sums.tops[r] = -__builtin_inff();
    Simd::store(lanes + r * kLanes, Simd::zero());
  }
  const float* const queries = w.at(w.l.queries) + row * w.dwords;
  // Keys that all rows see.
  const int64_t all_begin = keys_seen(w.a, row + count - 1).begin;
  const int64_t all_end = keys_seen(w.a, row).end;
  const int64_t begin = keys.begin / kStepKeys * kStepKeys;
  Step step;
  for (int64_t key = begin; key < keys.end; key += kStepKeys) {
    take_step(w, key, keys, step);
    NextTiles next;
    // The first rows of a span bring its keys nearer for all, the last step those of the next call.
    if (row == 0) {
      const int64_t scales = w.scaled ? 2 * kKvBlockTokens * int64_t{sizeof(float)} : 0;
      const int64_t bytes = 2 * w.a.cache.tile_bytes + scales;
      for (int i = 0; i < kStepKeys / kKvBlockTokens; ++i) {
        const int64_t at = key + kStepKeys + i * kKvBlockTokens;
        if (at < keys.end) next.add(w.block(at), bytes);
        if (key + kStepKeys >= keys.end) next.add(w.a.after[i], bytes);
      }
      next.spread(P::accumulations(step.keys, w.l.dim));
    }
    P::scores(queries, count, step, w.l.dim, scores, next);
    const bool whole = key >= all_begin && key + step.keys <= all_end;
    weigh_step(w, step, row, count, whole, key == begin, scores, weights, lanes, sums);
    P::add_values(weights, count, step, w.l.dim, key == begin, sums.values, next);
  }
  for (int r = 0; r < count; ++r) sums.totals[r] = Simd::reduce_add(Simd::load(lanes + r * kLanes));
}

// sums += more, which covers later keys.
SIS_INLINE void merge_sums(const Sums& sums, const Sums& more, int rows, int dim) {
  const float nothing = -__builtin_inff();
  for (int r = 0; r < rows; ++r) {
    if (more.tops[r] == nothing) continue;
    float* const to = sums.values + r * dim;
    const float* const from = more.values + r * dim;
    const float old = sums.tops[r], its = more.tops[r];
    const float top = old > its ? old : its;
    const Vec mine = old == top ? Simd::set1(1) : Simd::exp2<5>(Simd::set1(old - top));
    const Vec theirs = its == top ? Simd::set1(1) : Simd::exp2<5>(Simd::set1(its - top));
    sums.tops[r] = top;
    sums.totals[r] = sums.totals[r] * Simd::first(mine) + more.totals[r] * Simd::first(theirs);
    for (int c = 0; c < dim; c += kLanes)
      Simd::store(to + c,
                  Simd::fma(Simd::load(from + c), theirs, Simd::mul(Simd::load(to + c), mine)));
  }
}

template <class T>
SIS_INLINE void write_rows(const CachedRows<T>& a, const Sums& sums, int rows, int dim) {
  int token = 0, head = 0;
  for (int r = 0; r < rows; ++r) {
    store_row(sums.values + r * dim, 1.0f / sums.totals[r], a.cache.head_dim,
              a.out + token * a.out_stride + head * a.cache.head_dim);
    if (++head == a.group) {
      head = 0;
      ++token;
    }
  }
}

template <class P>
SIS_INLINE void load_queries(const Work<P>& w, int row, int count) {
  const auto& a = w.a;
  for (int r = row, token = row / a.group, head = row % a.group; r < row + count; ++r) {
    const auto* q = a.q + token * a.q_stride + head * a.cache.head_dim;
    float* const to = w.at(w.l.queries) + r * w.dwords;
    for (int c = 0; c < w.dwords; c += kLanes)
      Simd::store(to + c, P::load(q, c * P::kPerDword, a.cache.head_dim));
    if (++head == a.group) {
      head = 0;
      ++token;
    }
  }
}

template <class P>
SIS_INLINE void attend_cached(const CachedRows<typename P::Element>& a, int32_t first, int32_t last,
                              float* partials, std::byte* scratch) {
  const Work<P> w(a, scratch);
  const int dim = w.l.dim;
  load_queries(w, 0, w.rows);
  bool started[kCachedRowsMax / kRowBlock] = {};
  for (int32_t span = first; span < last; ++span) {
    const Keys in_span{int64_t{span} * kSpanKeys, int64_t{span + 1} * kSpanKeys};
    if (w.shared) {
      const int64_t begin = greatest(keys_seen(a, 0).begin, in_span.begin);
      const int64_t end = least(keys_seen(a, w.rows - 1).end, in_span.end);
      for (int64_t key = begin / kKvBlockTokens * kKvBlockTokens; key < end; key += kKvBlockTokens)
        copy_block(w, key);
    }
    for (int row = 0; row < w.rows; row += kRowBlock) {
      const int count = static_cast<int>(least(w.rows - row, kRowBlock));
      const Keys keys{greatest(keys_seen(a, row).begin, in_span.begin),
                      least(keys_seen(a, row + count - 1).end, in_span.end)};
      const Sums all = partials ? sums_at(partials + (span - first) * partial_floats(w.rows, dim),
                                          w.rows, row, dim)
                                : sums_at(w.at(w.l.totals), kCachedRowsMax, row, dim);
      bool& some = started[row / kRowBlock];
      if (keys.begin >= keys.end) {
        if (partials)
          for (int r = 0; r < count; ++r) all.tops[r] = -__builtin_inff();
        continue;
      }
      if (partials || !some) {
        attend_span(w, row, count, keys, all);
      } else {
        const Sums more = sums_at(w.at(w.l.span), kRowBlock, 0, dim);
        attend_span(w, row, count, keys, more);
        merge_sums(all, more, count, dim);
      }
      some = true;
    }
  }
  if (!partials) write_rows(a, sums_at(w.at(w.l.totals), kCachedRowsMax, 0, dim), w.rows, dim);
}

template <class T>
SIS_INLINE Sums merge_spans(const CachedRows<T>& a, int32_t spans, float* partials) {
  const int rows = a.tokens * a.group, dim = a.cache.dim_padded;
  const Sums all = sums_at(partials, rows, 0, dim);
  for (int32_t s = 1; s < spans; ++s)
    merge_sums(all, sums_at(partials + s * partial_floats(rows, dim), rows, 0, dim), rows, dim);
  return all;
}
template <class T>
SIS_INLINE void finish_cached(const CachedRows<T>& a, int32_t spans, float* partials) {
  write_rows(a, merge_spans(a, spans, partials), a.tokens * a.group, a.cache.dim_padded);
}

// sum[r][0..1] += rows of a times two panels of b: 16 * blocks dwords deep, one line of b every
// `inner` floats and `outer` after sixteen. Fetches once per block.
template <class P, int kRows>
SIS_INLINE void accumulate(Vec (&sum)[kRows][2], const float* a, int64_t a_stride, const float* b0,
                           const float* b1, int64_t inner, int64_t outer, int blocks,
                           NextTiles& next) {
  for (int block = 0; block < blocks; ++block, a += 16, b0 += outer, b1 += outer) {
    next.fetch();
#pragma GCC unroll 4
    for (int k = 0; k < 16; ++k) {
      const Vec v0 = Simd::load(b0 + k * inner), v1 = Simd::load(b1 + k * inner);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        sum[r][0] = P::dot(a[r * a_stride + k], v0, sum[r][0]);
        sum[r][1] = P::dot(a[r * a_stride + k], v1, sum[r][1]);
      }
    }
  }
}

template <class P, int kRows>
SIS_INLINE void score_rows(const float* q, const Step& step, int dim, float* scores,
                           NextTiles& next) {
  const int dwords = dim / P::kPerDword;
  for (int half = 0; half < step.keys / kKvBlockTokens; ++half)
    for (int n = 0; n < kKvBlockTokens; n += 2 * kLanes) {
      Vec sum[kRows][2];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = Simd::zero();
      const float* const k = step.k[half];
      accumulate<P>(sum, q, dwords, k + P::key_line(n, dim), k + P::key_line(n + kLanes, dim), 16,
                    P::kKeyBlock, dwords / 16, next);
      float* const to = scores + half * kKvBlockTokens + n;
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        Simd::store(to + r * kStepKeys, sum[r][0]);
        Simd::store(to + r * kStepKeys + kLanes, sum[r][1]);
      }
    }
}
template <class P, int kRows>
SIS_INLINE void add_rows(const float* p, const Step& step, int dim, bool first, float* values,
                         NextTiles& next) {
  constexpr int kDeep = kKvBlockTokens / P::kPerDword;  // dwords of a block's weights
  for (int c = 0; c < dim; c += 2 * kLanes) {
    float* const to = values + c;
    Vec sum[kRows][2];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      sum[r][0] = first ? Simd::zero() : Simd::load(to + r * dim);
      sum[r][1] = first ? Simd::zero() : Simd::load(to + r * dim + kLanes);
    }
    const int64_t inner = P::value_stride(dim);
    for (int half = 0; half < step.keys / kKvBlockTokens; ++half) {
      const float* const v = step.v[half];
      accumulate<P>(sum, p + half * kDeep, kStepKeys / P::kPerDword, v + P::value_line(c),
                    v + P::value_line(c + kLanes), inner, 16 * inner, kDeep / 16, next);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      Simd::store(to + r * dim, sum[r][0]);
      Simd::store(to + r * dim + kLanes, sum[r][1]);
    }
  }
}

// body(Rows<n>, row) with as many rows at once as registers hold, then fewer.
template <int kRows>
struct Rows {};
template <int kMost, class Body>
SIS_INLINE void in_rows(int count, Body&& body) {
  int r = 0;
  for (; r + kMost <= count; r += kMost) body(Rows<kMost>{}, r);
  if constexpr (kMost > 4)
    if (count - r >= 4) {
      body(Rows<4>{}, r);
      r += 4;
    }
  if (count - r >= 2) {
    body(Rows<2>{}, r);
    r += 2;
  }
  if (count - r >= 1) body(Rows<1>{}, r);
}

// The products of both vector variants.
template <class P>
struct VectorProducts {
  // Blocks that accumulate() goes through in a step, for each few rows.
  SIS_INLINE int accumulations(int keys, int dim) {
    const int per_key_block = kKvBlockTokens / (2 * kLanes) * (dim / P::kPerDword / 16) +
                              dim / (2 * kLanes) * (kKvBlockTokens / P::kPerDword / 16);
    return keys / kKvBlockTokens * per_key_block;
  }
  SIS_INLINE void scores(const float* q, int count, const Step& step, int dim, float* scores,
                         NextTiles& next) {
    in_rows<P::kRowsAtOnce>(
        count, [&]<int kRows>(Rows<kRows>, int r) __attribute__((always_inline)) {
          score_rows<P, kRows>(q + r * (dim / P::kPerDword), step, dim, scores + r * kStepKeys,
                               next);
        });
  }
  SIS_INLINE void add_values(const float* p, int count, const Step& step, int dim, bool first,
                             float* values, NextTiles& next) {
    in_rows<P::kRowsAtOnce>(
        count, [&]<int kRows>(Rows<kRows>, int r) __attribute__((always_inline)) {
          add_rows<P, kRows>(p + r * (kStepKeys / P::kPerDword), step, dim, first, values + r * dim,
                             next);
        });
  }
};

// f32 throughout: K [2][dim][16], V [32][dim] as in an f32 cache.
template <class T>
struct LaneProducts : VectorProducts<LaneProducts<T>>, F32Numbers<T> {
  using Element = T;
  static constexpr int kPerDword = 1, kRowsAtOnce = kLanes == 16 ? 8 : 4;
  static constexpr DType kTileType = DType::kF32;
  static constexpr int64_t kKeyBlock = 256;

  SIS_INLINE int64_t key_line(int n, int dim) { return n / 16 * (16 * dim) + n % 16; }
  SIS_INLINE int64_t value_stride(int dim) { return dim; }
  SIS_INLINE int64_t value_line(int c) { return c; }

  // First and second elements of the pairs from the i-th on.
  SIS_INLINE void load_both(const bf16* pairs, int i, Vec& low, Vec& high) {
    Simd::load_pairs(pairs + 2 * i, low, high);
  }
  SIS_INLINE void load_both(const int8_t* pairs, int i, Vec& low, Vec& high) {
    low = Simd::load(pairs + i);
    high = Simd::load(pairs + 16 + i);
  }

  template <class Stored>
  SIS_INLINE void copy_key_pairs(const Stored* from, int dim, float* to) {
    for (int d = 0; d < dim; d += 32)
      for (int half = 0; half < 2; ++half) {
        float* line = to + (half * dim + d) * 16;
        for (int p = 0; p < 16; ++p, from += 32, line += 32)
          for (int j = 0; j < 16; j += kLanes) {
            Vec low, high;
            load_both(from, j, low, high);
            Simd::store(line + j, low);
            Simd::store(line + 16 + j, high);
          }
      }
  }
  template <class Stored>
  SIS_INLINE void copy_value_pairs(const Stored* from, int dim, float* to) {
    for (int c = 0; c < dim; c += 16)
      for (int p = 0; p < 16; ++p, from += 32)
        for (int i = 0; i < 16; i += kLanes) {
          Vec low, high;
          load_both(from, i, low, high);
          Simd::store(to + p * dim + c + i, low);
          Simd::store(to + (p + 16) * dim + c + i, high);
        }
  }
  SIS_INLINE void copy_keys(DType dtype, const std::byte* from, int dim, float* to) {
    if (dtype == DType::kBf16)
      copy_key_pairs(reinterpret_cast<const bf16*>(from), dim, to);
    else
      copy_key_pairs(reinterpret_cast<const int8_t*>(from), dim, to);
  }
  SIS_INLINE void copy_values(DType dtype, const std::byte* from, int dim, float* to) {
    if (dtype == DType::kBf16)
      copy_value_pairs(reinterpret_cast<const bf16*>(from), dim, to);
    else
      copy_value_pairs(reinterpret_cast<const int8_t*>(from), dim, to);
  }

  template <bool kScaled>
  SIS_INLINE Vec weigh(const float* s, const Step& step, Vec top, float* p, Vec total) {
    for (int j = 0; j < step.keys; j += kLanes) {
      Vec v = Simd::exp2<5>(Simd::sub(Simd::load(s + j), top));
      total = Simd::add(total, v);
      if constexpr (kScaled) v = Simd::mul(v, step.scale[j / kLanes]);
      Simd::store(p + j, v);
    }
    return total;
  }
};

}  // namespace
}  // namespace sis::kernels
