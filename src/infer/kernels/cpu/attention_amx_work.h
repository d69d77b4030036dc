// Units of work of AMX attention: which comes next, and what it reads, packed for tiles. The
// whole story is in attention_amx.cc.
#pragma once

#include "infer/kernels/cpu/attention_pairs.h"

namespace sis::kernels::amx {
namespace {

struct Unit {
  bool valid = false;
  Head<bf16> head;
  int64_t query = 0;                           // first query of the unit in the sequence
  int64_t key = 0;                             // first key of the packed block
  int block_keys = 0;                          // keys in the packed block
  int span = 0;                                // first key of the unit in the packed block
  int keys = 0;                                // keys of the unit
  int padded = 0;                              // rounded up to 32
  int row = 0;                                 // first query in the group's buffers
  int rows = 0;                                // queries, 1..32
  bool first_keys = false, last_keys = false;  // of the sequence
  bool first_of_block = false;                 // nobody has used the packed block yet
  bool shrinks = false;                        // some of `shrink` may differ from 1
  float bound = 0;                             // no score times factor is larger in magnitude
  float* scores = nullptr;
  float* weights = nullptr;
  [[gnu::always_inline]] inline bool whole() const {
    return valid && rows == kAttentionQueries && keys == 64;
  }
  [[gnu::always_inline]] inline int64_t block_keys_padded() const {
    return round_up(block_keys, 32);
  }

  alignas(64) float shrink[kAttentionQueries];   // what earlier sums are multiplied with
  alignas(64) float inverse[kAttentionQueries];  // 1 / sum of the weights so far
};

// Rows of memory asked for a little at a time, long before they are packed.
struct Prefetch {
  const bf16* rows[3];
  int left[3] = {};
  int list = 0;  // of the three
  int each = 0;  // rows per call; there is a call for every four rows of weights
};

// Everything that lives as long as the call.
struct Work {
  const AttentionSequence<bf16>& s;
  const AttentionLayout l;
  const int64_t last, blocks_per_head;
  const Vec factor;
  float *keys, *values, *queries, *sums;
  float* tops;         // by query of the group: the exponent its weights are relative to
  float* totals;       // by query: sixteen running sums of weights
  float* lanes;        // sixteen per query of a unit, for reductions
  float* query_norms;  // by block: largest |q|^2
  float* scores[2];
  float* weights[2];
  // Walks group of query blocks, key block, query block, span of keys.
  int64_t block;
  int64_t key = 0;
  int blocks = 0;  // in this group
  int at = 0;      // block in the group
  int span = 0;
  float key_norm = 0;  // largest |k|^2 of the packed keys
  bool flat[32];       // by block in the group: its maxima are zeros so far
  Prefetch ahead;
};

SIS_INLINE void next_unit(Work& w, int parity, Unit& u) {
  // Onwards: span, query block, key block, group.
  if (w.blocks > 0) {
    w.span += w.l.span;
    if (w.span >= least(w.s.tokens - w.key, w.l.key_block)) {
      w.span = 0;
      if (++w.at == w.blocks) {
        w.at = 0;
        w.key += w.l.key_block;
        if (w.key >= w.s.tokens) {
          w.key = 0;
          w.block += w.blocks;
          w.blocks = 0;
        }
      }
    }
  }
  u.valid = w.block < w.last;
  if (!u.valid) return;
  const int64_t head = w.block / w.blocks_per_head, from = w.block % w.blocks_per_head;
  if (w.blocks == 0)
    w.blocks =
        static_cast<int>(least(least(w.blocks_per_head - from, w.last - w.block), w.l.group));
  u.head = head_of(w.s, head);
  u.key = w.key;
  u.block_keys = static_cast<int>(least(w.s.tokens - w.key, w.l.key_block));
  u.span = w.span;
  u.keys = static_cast<int>(least(u.block_keys - w.span, w.l.span));
  u.padded = static_cast<int>(round_up(u.keys, 32));
  // Where one key block holds all keys, a query block is done before the next begins: they take
  // turns in the same rows, which stay in the first-level cache.
  u.row = w.s.tokens <= w.l.key_block ? 0 : w.at * kAttentionQueries;
  u.query = (from + w.at) * kAttentionQueries;
  u.rows = static_cast<int>(least(w.s.tokens - u.query, kAttentionQueries));
  u.first_keys = w.key == 0 && w.span == 0;
  u.last_keys = w.key + w.span + u.keys == w.s.tokens;
  u.first_of_block = w.at == 0 && w.span == 0;
  u.shrinks = false;
  u.scores = w.scores[parity];
  u.weights = w.weights[parity];
}

// At the first unit of a key block: what will be packed next is the next key block or the next
// head.
SIS_INLINE void plan_prefetch(Work& w, const Unit& u) {
  Prefetch& p = w.ahead;
  const int64_t later = u.key + u.block_keys;
  const int64_t head = w.block / w.blocks_per_head;
  const int columns = w.s.head_dim;
  p.left[0] = p.left[1] = p.left[2] = p.list = 0;
  if (later < w.s.tokens) {
    p.rows[1] = u.head.k + later * w.s.qkv_stride;
    p.rows[2] = u.head.v + later * w.s.qkv_stride;
    p.left[1] = p.left[2] = static_cast<int>(least(w.s.tokens - later, w.l.key_block));
  } else if (head + 1 < w.s.heads && w.block + w.blocks < w.last) {
    p.rows[0] = u.head.q + columns;
    p.rows[1] = u.head.k + columns;
    p.rows[2] = u.head.v + columns;
    p.left[0] = static_cast<int>(least(w.s.tokens, int64_t{w.l.group} * kAttentionQueries));
    p.left[1] = p.left[2] = static_cast<int>(least(w.s.tokens, w.l.key_block));
  }
  const int spans = (u.block_keys + w.l.span - 1) / w.l.span;
  const int calls =
      w.blocks * spans * static_cast<int>(least(w.s.tokens, kAttentionQueries) + 3) / 4;
  p.each = (p.left[0] + p.left[1] + p.left[2] + calls - 1) / calls;
}
SIS_INLINE void prefetch_some(Work& w) {
  Prefetch& p = w.ahead;
  if (p.left[p.list] <= 0) {
    if (p.list < 2) ++p.list;
    return;
  }
  const int count = p.left[p.list] < p.each ? p.left[p.list] : p.each;
  const char* row = reinterpret_cast<const char*>(p.rows[p.list]);
  const int64_t stride_bytes = w.s.qkv_stride * 2;
  const int lines = w.l.dim / 32;
  p.left[p.list] -= count;
  p.rows[p.list] += count * w.s.qkv_stride;
  for (int i = 0; i < count; ++i, row += stride_bytes) {
    _mm_prefetch(row, _MM_HINT_T1);
    for (int line = 1; line < lines; ++line) _mm_prefetch(row + line * 64, _MM_HINT_T1);
  }
}

// Queries of a unit -> [32, dim] dense, zeros where there are none. Returns the largest |q|^2.
SIS_INLINE float load_unit_queries(const Work& w, const Unit& u) {
  const bf16* q = u.head.q + u.query * w.s.qkv_stride;
  float* to = w.queries + u.row * (w.l.dim / 2);
  const __mmask32 tail = PairNumbers::columns(w.l.dim - 32, w.s.head_dim);
  for (int i = 0; i < u.rows; ++i, q += w.s.qkv_stride) {
    Vec norm = Simd::zero();
    int c = 0;
    for (; c + 32 < w.l.dim; c += 32, to += 16) {
      const Vec v = Simd::load(reinterpret_cast<const float*>(q + c));
      norm = PairNumbers::pair_dot(v, v, norm);
      Simd::store(to, v);
    }
    const Vec v = _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(tail, q + c));
    norm = PairNumbers::pair_dot(v, v, norm);
    Simd::store(to, v);
    to += 16;
    Simd::store(w.lanes + i * 16, norm);
  }
  const int padded = u.rows > 16 ? 32 : 16;
  for (int i = u.rows; i < padded; ++i) {
    Simd::store(w.lanes + i * 16, Simd::zero());
    for (int c = 0; c < w.l.dim; c += 32, to += 16) Simd::store(to, Simd::zero());
  }
  const auto add = [](Vec a, Vec b) __attribute__((always_inline)) { return Simd::add(a, b); };
  Vec top = PairNumbers::reduce_sixteen(w.lanes, add);
  if (padded > 16) top = Simd::max(top, PairNumbers::reduce_sixteen(w.lanes + 256, add));
  return Simd::reduce_max(top);
}

// As pack_keys, but for panels of nothing but padding, which no score is made of; returns the
// largest |k|^2.
SIS_INLINE float pack_unit_keys(const Work& w, const Unit& u) {
  const bf16* k = u.head.k + u.key * w.s.qkv_stride;
  const __mmask32 tail = PairNumbers::columns(w.l.dim - 32, w.s.head_dim);
  float* to = w.keys;
  Vec top = Simd::zero();
  for (int j = 0; j < u.block_keys; j += 16, k += 16 * w.s.qkv_stride) {
    Vec norm0 = Simd::zero(), norm1 = Simd::zero();
    for (int c = 0; c < w.l.dim; c += 32) {
      const __mmask32 columns = c + 32 < w.l.dim ? 0xFFFFFFFF : tail;
      const bf16* from = k + c;
      Vec rows[16];
      if (j + 16 <= u.block_keys) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i, from += w.s.qkv_stride)
          rows[i] = _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(columns, from));
      } else {
        for (int i = 0; i < 16; ++i) rows[i] = Simd::zero();
        for (int i = 0; i < u.block_keys - j; ++i, from += w.s.qkv_stride)
          rows[i] = _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(columns, from));
      }
      Simd::transpose(rows);
#pragma GCC unroll 8
      for (int i = 0; i < 16; i += 2, to += 32) {
        Simd::store(to, rows[i]);
        Simd::store(to + 16, rows[i + 1]);
        norm0 = PairNumbers::pair_dot(rows[i], rows[i], norm0);
        norm1 = PairNumbers::pair_dot(rows[i + 1], rows[i + 1], norm1);
      }
    }
    top = Simd::max(top, Simd::add(norm0, norm1));
  }
  return Simd::reduce_max(top);
}

}  // namespace
}  // namespace sis::kernels::amx
