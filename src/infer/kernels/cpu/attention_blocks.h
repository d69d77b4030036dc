// What the attention variants share: packing, softmax of a block of scores, and the plain loop over
// blocks.
//
// The vectors are those of whichever simd_*.h came first, AVX2 where none did. A `Numbers` says how
// products are fed. Everything is counted in dwords: one f32, or two bf16 that a dot instruction
// multiplies and adds in pairs.
//   a matrix on the left   [rows, dwords]                 broadcast dword by dword
//   a matrix on the right  [cols / L][dwords][L] dwords   panels of L = vector lanes columns
// With 16 lanes and pairs a panel's 16 rows of 64 bytes are exactly one AMX tile.
#pragma once

#ifndef SIS_SIMD
#include "infer/kernels/cpu/simd_avx2.h"
#endif

#include <cstring>
#include <type_traits>

#include "infer/kernels/attention_scratch.h"

namespace sis::kernels {
namespace {

constexpr int kLanes = Simd::kLanes;
using Vec = Simd::Vec;

SIS_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
SIS_INLINE int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// s * factor - top. Not fused: the largest score must give exactly 0, or enormous ones would
// overflow.
SIS_INLINE Vec lowered(Vec s, Vec factor, Vec top) {
  return Simd::sub(Simd::rounded_mul(s, factor), top);
}

// A row's scores become weights 2^(s * factor - top); their sum is returned. Columns from `keys` to
// `padded` (a multiple of 2 * kLanes) become zero.
template <int kDegree>
SIS_INLINE float weigh_f32(const float* s, int keys, int padded, Vec factor, Vec top, float* p) {
  Vec total0 = Simd::zero(), total1 = Simd::zero();
  int j = 0;
  for (; j + 2 * kLanes <= keys; j += 2 * kLanes) {
    const Vec p0 = Simd::exp2<kDegree>(lowered(Simd::load(s + j), factor, top));
    const Vec p1 = Simd::exp2<kDegree>(lowered(Simd::load(s + j + kLanes), factor, top));
    total0 = Simd::add(total0, p0);
    total1 = Simd::add(total1, p1);
    Simd::store(p + j, p0);
    Simd::store(p + j + kLanes, p1);
  }
  for (; j < padded; j += kLanes) {
    const int left = static_cast<int>(least(keys - j < 0 ? 0 : keys - j, kLanes));
    Vec p0 = Simd::exp2<kDegree>(lowered(Simd::load(s + j), factor, top));
    p0 = Simd::keep_n(p0, left, Simd::zero());
    total0 = Simd::add(total0, p0);
    Simd::store(p + j, p0);
  }
  return Simd::reduce_add(Simd::add(total0, total1));
}

// f32 inside, whatever is stored outside.
template <class T>
struct F32Numbers {
  using Element = T;
  using Weight = float;
  static constexpr int kPerDword = 1;

  // kLanes dwords from column c of a row that is `dim` elements wide; zeros behind its end.
  SIS_INLINE Vec load(const T* row, int c, int dim) {
    const int left = dim - c;
    if (left >= kLanes) return Simd::load(row + c);
    return left > 0 ? Simd::load_n(row + c, left) : Simd::zero();
  }
  SIS_INLINE Vec dot(float a, Vec b, Vec sum) { return Simd::fma(Simd::set1(a), b, sum); }

  // values[j] row j -> panels. `keys` real rows out of `padded`.
  SIS_INLINE void pack_values(const T* v, int64_t stride, int keys, int padded, int head_dim,
                              int dim, float* to) {
    for (int c = 0; c < dim; c += kLanes)
      for (int j = 0; j < padded; ++j, to += kLanes)
        Simd::store(to, j < keys ? load(v + j * stride, c, head_dim) : Simd::zero());
  }
  SIS_INLINE float weigh(const float* s, int keys, int padded, Vec factor, Vec top, float* p) {
    return weigh_f32<5>(s, keys, padded, factor, top, p);
  }
};

SIS_INLINE Vec row_max_lanes(const float* s, int keys) {
  const Vec lowest = Simd::set1(-__builtin_inff());
  Vec m0 = lowest, m1 = lowest, m2 = lowest, m3 = lowest;
  int j = 0;
  for (; j + 4 * kLanes <= keys; j += 4 * kLanes) {
    m0 = Simd::max(m0, Simd::load(s + j));
    m1 = Simd::max(m1, Simd::load(s + j + kLanes));
    m2 = Simd::max(m2, Simd::load(s + j + 2 * kLanes));
    m3 = Simd::max(m3, Simd::load(s + j + 3 * kLanes));
  }
  for (; j + kLanes <= keys; j += kLanes) m0 = Simd::max(m0, Simd::load(s + j));
  if (j < keys) m1 = Simd::max(m1, Simd::keep_n(Simd::load(s + j), keys - j, lowest));
  return Simd::max(Simd::max(m0, m1), Simd::max(m2, m3));
}
SIS_INLINE float row_max(const float* s, int keys) {
  return Simd::reduce_max(row_max_lanes(s, keys));
}

// One head's rows of the sequence.
template <class T>
struct Head {
  const T *q, *k, *v;
  T* out;
};
template <class T>
SIS_INLINE Head<T> head_of(const AttentionSequence<T>& s, int64_t head) {
  const int64_t width = int64_t{s.heads} * s.head_dim, column = head * s.head_dim;
  return {s.qkv + column, s.qkv + width + column, s.qkv + 2 * width + column, s.out + column};
}

// keys [keys, head_dim] -> panels of kLanes keys with dim / kPerDword dwords each; zeros up to
// `padded` keys.
template <class N>
SIS_INLINE void pack_keys(const typename N::Element* k, int64_t stride, int keys, int padded,
                          int head_dim, int dim, float* to) {
  const int dwords = dim / N::kPerDword;
  for (int j = 0; j < padded; j += kLanes)
    for (int c = 0; c < dwords; c += kLanes) {
      Vec rows[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i)
        rows[i] =
            j + i < keys ? N::load(k + (j + i) * stride, c * N::kPerDword, head_dim) : Simd::zero();
      Simd::transpose(rows);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i, to += kLanes) Simd::store(to, rows[i]);
    }
}

// queries -> [padded, dim] dense, zeros where there are none.
template <class N>
SIS_INLINE void load_queries(const typename N::Element* q, int64_t stride, int rows, int padded,
                             int head_dim, int dim, float* to) {
  const int dwords = dim / N::kPerDword;
  for (int i = 0; i < padded; ++i)
    for (int c = 0; c < dwords; c += kLanes, to += kLanes)
      Simd::store(to,
                  i < rows ? N::load(q + i * stride, c * N::kPerDword, head_dim) : Simd::zero());
}

template <class T>
SIS_INLINE void store_row(const float* sum, float inverse, int head_dim, T* out) {
  const Vec factor = Simd::set1(inverse);
  int c = 0;
  for (; c + kLanes <= head_dim; c += kLanes)
    Simd::store(out + c, Simd::mul(Simd::load(sum + c), factor));
  if (c < head_dim) Simd::store_n(out + c, Simd::mul(Simd::load(sum + c), factor), head_dim - c);
}

// C [rows, cols] (+)= A · B with A on the left, B on the right as above; kRows at a time in
// registers.
template <class N, int kRows>
SIS_INLINE void multiply(const float* a, int64_t a_stride, const float* b, int64_t panel,
                         int dwords, int rows, int cols, bool add, float* c, int64_t c_stride) {
  for (int i = 0; i < rows; i += kRows)
    for (int n = 0; n < cols; n += 2 * kLanes) {
      const float* b0 = b + n / kLanes * panel;
      const float* b1 = b0 + panel;
      float* to = c + i * c_stride + n;
      Vec sum[kRows][2];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        sum[r][0] = add ? Simd::load(to + r * c_stride) : Simd::zero();
        sum[r][1] = add ? Simd::load(to + r * c_stride + kLanes) : Simd::zero();
      }
      const float* from = a + i * a_stride;
      for (int k = 0; k < dwords; ++k) {
        const Vec v0 = Simd::load(b0 + k * kLanes), v1 = Simd::load(b1 + k * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          sum[r][0] = N::dot(from[r * a_stride + k], v0, sum[r][0]);
          sum[r][1] = N::dot(from[r * a_stride + k], v1, sum[r][1]);
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        Simd::store(to + r * c_stride, sum[r][0]);
        Simd::store(to + r * c_stride + kLanes, sum[r][1]);
      }
    }
}

constexpr float kLog2E = 1.44269504088896340736f;

// 32 queries and the keys [span, span + keys) of the packed block: scores, weights, sums.
template <class N, int kRows>
SIS_INLINE void attend_span(const AttentionLayout& l, int row0, int rows, int span, int keys,
                            int block_padded, bool first, float factor, const float* queries,
                            const float* keys_packed, const float* values_packed,
                            std::byte* scratch) {
  float* const sums = reinterpret_cast<float*>(scratch + l.sums) + row0 * l.dim;
  float* const scores = reinterpret_cast<float*>(scratch + l.scores[0]);
  float* const weights = reinterpret_cast<float*>(scratch + l.weights[0]);
  float* const tops = reinterpret_cast<float*>(scratch + l.stats) + row0;
  float* const totals = tops + l.group * kAttentionQueries;
  const int dwords = l.dim / N::kPerDword;
  const int padded = static_cast<int>(round_up(keys, 32)),
            count = static_cast<int>(round_up(rows, kRows));
  multiply<N, kRows>(queries + row0 * dwords, dwords, keys_packed + span * dwords,
                     int64_t{dwords} * kLanes, dwords, count, padded, false, scores,
                     l.score_stride);
  for (int r = 0; r < rows; ++r) {
    float* const sum = sums + r * l.dim;
    const float* const score = scores + r * l.score_stride;
    float top = row_max(score, keys) * factor, before = 0;
    if (!first) {
      if (top <= tops[r]) {
        top = tops[r];
        before = totals[r];
      } else {  // everything so far shrinks to the new maximum's scale
        const Vec shrink = Simd::exp2<5>(Simd::set1(tops[r] - top));
        before = totals[r] * Simd::first(shrink);
        for (int c = 0; c < l.dim; c += kLanes)
          Simd::store(sum + c, Simd::mul(Simd::load(sum + c), shrink));
      }
    }
    tops[r] = top;
    totals[r] = before + N::weigh(score, keys, padded, Simd::set1(factor), Simd::set1(top),
                                  weights + r * l.score_stride);
  }
  multiply<N, kRows>(weights, l.score_stride, values_packed + span / N::kPerDword * kLanes,
                     int64_t{block_padded} / N::kPerDword * kLanes, padded / N::kPerDword, count,
                     l.dim, !first, sums, l.dim);
}

// The plain loop: group of query blocks, key block, query block. kRows divides kAttentionQueries.
template <class N, int kRows>
SIS_INLINE void attend_blocks(const AttentionSequence<typename N::Element>& s, int64_t first,
                              int64_t last, std::byte* scratch) {
  const AttentionLayout l = attention_layout(s.head_dim);
  float* const keys_packed = reinterpret_cast<float*>(scratch + l.keys);
  float* const values_packed = reinterpret_cast<float*>(scratch + l.values);
  float* const queries = reinterpret_cast<float*>(scratch + l.queries);
  float* const sums = reinterpret_cast<float*>(scratch + l.sums);
  const float* const totals =
      reinterpret_cast<float*>(scratch + l.stats) + l.group * kAttentionQueries;
  const int64_t blocks_per_head = (s.tokens + kAttentionQueries - 1) / kAttentionQueries;
  const float factor = s.scale * kLog2E;

  for (int64_t block = first; block < last;) {
    const auto head = head_of(s, block / blocks_per_head);
    const int64_t from = block % blocks_per_head;
    const int blocks =
        static_cast<int>(least(least(blocks_per_head - from, last - block), l.group));
    const int64_t query = from * kAttentionQueries;
    const int rows = static_cast<int>(least(s.tokens - query, int64_t{blocks} * kAttentionQueries));
    load_queries<N>(head.q + query * s.qkv_stride, s.qkv_stride, rows,
                    static_cast<int>(round_up(rows, kRows)), s.head_dim, l.dim, queries);
    for (int64_t key = 0; key < s.tokens; key += l.key_block) {
      const int keys = static_cast<int>(least(s.tokens - key, l.key_block));
      const int padded = static_cast<int>(round_up(keys, 32));
      pack_keys<N>(head.k + key * s.qkv_stride, s.qkv_stride, keys, padded, s.head_dim, l.dim,
                   keys_packed);
      N::pack_values(head.v + key * s.qkv_stride, s.qkv_stride, keys, padded, s.head_dim, l.dim,
                     values_packed);
      for (int row0 = 0; row0 < rows; row0 += kAttentionQueries)
        for (int span = 0; span < keys; span += l.span)
          attend_span<N, kRows>(l, row0, static_cast<int>(least(rows - row0, kAttentionQueries)),
                                span, static_cast<int>(least(keys - span, l.span)), padded,
                                key + span == 0, factor, queries, keys_packed, values_packed,
                                scratch);
    }
    for (int r = 0; r < rows; ++r)
      store_row(sums + r * l.dim, 1.0f / totals[r], s.head_dim,
                head.out + (query + r) * s.out_stride);
    block += blocks;
  }
}

}  // namespace
}  // namespace sis::kernels
