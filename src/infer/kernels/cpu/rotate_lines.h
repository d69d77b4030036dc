// The rotation of bf16 heads in whole lines of 32 elements, as most models have them.
//
// Sixteen heads are turned before their norms are known, so that these share one root and one
// division. The keys of sixteen places that fill half a tile, and the values of both halves, are
// brought into the tiles' order in registers and stored as whole lines. A head's bits do not depend
// on its company.
#pragma once

#include "infer/kernels/cpu/simd_avx512.h"

#include "infer/kernels/cpu/rotate_angles.h"
#include "infer/kernels/cpu/rotate_lay.h"

namespace sis::kernels {
namespace {

// 32 elements. Where the CPU knows bf16, subnormal ones count as zero.
struct Line {
  static constexpr int kElements = 32;
  static constexpr __mmask32 kEven = 0x55555555, kOdd = 0xAAAAAAAA;

  SIS_INLINE __m512i load(const bf16* p) { return _mm512_loadu_si512(p); }
  SIS_INLINE void store(bf16* p, __m512i line) { _mm512_storeu_si512(p, line); }

  // Twice each of the first (second) sixteen words.
  SIS_INLINE __m512i doubled(int half) {
    const __m512i first = _mm512_set_epi16(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8,
                                           8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    return half ? _mm512_add_epi16(first, _mm512_set1_epi16(16)) : first;
  }
  SIS_INLINE void widen(__m512i line, Vec& low, Vec& high) {
    low = _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(kOdd, doubled(0), line));
    high = _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(kOdd, doubled(1), line));
  }
  // Rounded to nearest even.
  SIS_INLINE __m512i round(Vec low, Vec high) {
#if defined(__AVX512BF16__)
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
#else
    return _mm512_inserti64x4(_mm512_castsi256_si512(Simd::to_bf16(low)), Simd::to_bf16(high), 1);
#endif
  }
  // What is not finite becomes the largest that is.
  SIS_INLINE __m512i finite(__m512i line) {
    line = _mm512_min_epu16(line, _mm512_set1_epi16(static_cast<short>(0xFF7F)));
    return _mm512_min_epi16(line, _mm512_set1_epi16(0x7F7F));
  }
  // Sixteen elements of each, a pair in a dword.
  SIS_INLINE __m512i pairs(__m512i first, __m512i second, int half) {
    return _mm512_mask_permutexvar_epi16(
        _mm512_maskz_permutexvar_epi16(kEven, doubled(half), first), kOdd, doubled(half), second);
  }
};

// Dword 4 g + c to place 4 c + g.
SIS_INLINE __m512i exchange_dwords(__m512i v) {
  return _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
}
// 64 numbers in [-127, 127] to bytes, rounded to nearest even; what is no number to -127.
SIS_INLINE __m512i to_bytes(Vec a, Vec b, Vec c, Vec d) {
  const __m512i ab = _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b));
  const __m512i cd = _mm512_packs_epi32(_mm512_cvtps_epi32(c), _mm512_cvtps_epi32(d));
  const __m512i bytes = _mm512_max_epi8(_mm512_packs_epi16(ab, cd), _mm512_set1_epi8(-127));
  return exchange_dwords(bytes);
}

SIS_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

constexpr int kTogether = 16;

// Up to sixteen heads `step` elements apart: those of one row, or one head of many rows.
struct Run {
  bf16* first;
  int64_t step;
  int count;
  int64_t ahead;  // so much behind each lies one that will be wanted soon

  [[gnu::always_inline]] inline bf16* at(int i) const { return first + i * step; }
};

// What becomes of a run, head behind head.
struct SixteenHeads {
  alignas(64) float squares[kTogether][16], tops[kTogether][16];  // sums and maxima to be joined
  alignas(64) float factor[kTogether];                            // of the norm
  alignas(64) float step[kTogether], inverse[kTogether];          // of int8
  alignas(64) float turned[kTogether * kDecoderHeadDimMax];       // but for the factor
  alignas(64) std::byte stored[kTogether * kDecoderHeadDimMax * 2];
};
// A head of int8 is stored in lines of 64.
SIS_INLINE int stored_bytes(int dim, DType dtype) {
  return dtype == DType::kBf16 ? 2 * dim : (dim + 63) / 64 * 64;
}

// What heads are multiplied with, row by row: `half` numbers of each of these, scale of the norm
// times
//   cosine for the first half, sine for the second (their difference is the first half turned)
//   cosine for the second half, sine for the first (their sum is the second half turned)
struct TurnTable {
  float* of;
  const float* scale;

  [[gnu::always_inline]] inline void fill(int row, const float* cosine, const float* sine,
                                          int half) const {
    float* const to = of + row * 4 * half;
    for (int d = 0; d < half; d += kLanes) {
      const Vec c = Simd::load(cosine + d), s = Simd::load(sine + d);
      const Vec low = Simd::load(scale + d), high = Simd::load(scale + half + d);
      Simd::store(to + d, Simd::mul(c, low));
      Simd::store(to + half + d, Simd::mul(s, high));
      Simd::store(to + 2 * half + d, Simd::mul(c, high));
      Simd::store(to + 3 * half + d, Simd::mul(s, low));
    }
  }
};
// Of 32 pairs of dimensions.
struct TurnVectors {
  Vec v[4][2];

  SIS_INLINE TurnVectors load(const float* table, int half) {
    TurnVectors t;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) t.v[i][j] = Simd::load(table + i * half + j * kLanes);
    return t;
  }
};

struct Added {
  [[gnu::always_inline]] inline Vec operator()(Vec a, Vec b) const { return Simd::add(a, b); }
};
struct Larger {  // the second where the first is no number
  [[gnu::always_inline]] inline Vec operator()(Vec a, Vec b) const { return Simd::max(a, b); }
};

// Turns heads and collects the sums of their squares, and the largest magnitudes where kTops. Row 0
// of the table is for all of them, or row i for head i (kRows). What is fused is spelt out: every
// way here must round alike.
template <bool kTops, bool kRows>
SIS_INLINE void turn_heads(const Run& run, SixteenHeads& s, const TurnTable& table, int dim,
                           int half) {
  // To what lines before have left in memory: registers are for the table.
  const auto collect = [&](int i, bool first, Vec square, Vec top) __attribute__((always_inline)) {
    Simd::store(s.squares[i], first ? square : Simd::add(Simd::load(s.squares[i]), square));
    if constexpr (kTops)
      Simd::store(s.tops[i], first ? top : Simd::max(Simd::load(s.tops[i]), top));
  };
  const auto larger = [](Vec a, Vec b, Vec top) __attribute__((always_inline)) {
    return Simd::max(Simd::abs(b), Simd::max(Simd::abs(a), top));
  };
#pragma GCC unroll 2
  for (int d = 0; d < half; d += Line::kElements) {
    TurnVectors t = TurnVectors::load(table.of + d, half);
    for (int i = 0; i < run.count; ++i) {
      const bf16* const x = run.at(i) + d;
      float* const to = s.turned + i * dim + d;
      if constexpr (kRows) t = TurnVectors::load(table.of + i * 4 * half + d, half);
      __builtin_prefetch(x + run.ahead);
      __builtin_prefetch(x + run.ahead + half);
      Vec x0, x1, y0, y1;
      Line::widen(Line::load(x), x0, x1);
      Line::widen(Line::load(x + half), y0, y1);
      const Vec low0 = _mm512_fmsub_ps(x0, t.v[0][0], Simd::mul(y0, t.v[1][0]));
      const Vec low1 = _mm512_fmsub_ps(x1, t.v[0][1], Simd::mul(y1, t.v[1][1]));
      const Vec high0 = Simd::fma(y0, t.v[2][0], Simd::mul(x0, t.v[3][0]));
      const Vec high1 = Simd::fma(y1, t.v[2][1], Simd::mul(x1, t.v[3][1]));
      Simd::store(to, low0);
      Simd::store(to + kLanes, low1);
      Simd::store(to + half, high0);
      Simd::store(to + half + kLanes, high1);
      Vec top = Simd::zero();
      if constexpr (kTops) top = Simd::max(larger(low0, high0, top), larger(low1, high1, top));
      const Vec square0 = Simd::fma(y0, y0, Simd::mul(x0, x0));
      const Vec square1 = Simd::fma(y1, y1, Simd::mul(x1, x1));
      collect(i, d == 0, Simd::add(square0, square1), top);
    }
  }
  for (int d = 2 * half; d < dim; d += Line::kElements)
    for (int i = 0; i < run.count; ++i) {
      Vec low, high;
      Line::widen(Line::load(run.at(i) + d), low, high);
      const Vec square = Simd::fma(high, high, Simd::mul(low, low));
      low = Simd::mul(low, Simd::load(table.scale + d));
      high = Simd::mul(high, Simd::load(table.scale + d + kLanes));
      Simd::store(s.turned + i * dim + d, low);
      Simd::store(s.turned + i * dim + d + kLanes, high);
      collect(i, d == 0, square, larger(low, high, Simd::zero()));
    }
  for (int i = run.count; i < kTogether; ++i) {
    Simd::store(s.squares[i], Simd::zero());
    Simd::store(s.tops[i], Simd::zero());
  }
}
SIS_INLINE void norm_factors(SixteenHeads& s, bool normed, int dim, float eps) {
  Vec factor = Simd::set1(1);
  if (normed) {
    const Vec squares = Simd::reduce_sixteen(s.squares[0], Added{});
    const Vec mean = _mm512_div_ps(squares, Simd::set1(static_cast<float>(dim)));
    factor = _mm512_div_ps(factor, _mm512_sqrt_ps(Simd::add(mean, Simd::set1(eps))));
  }
  Simd::store(s.factor, factor);
}
// Of int8, from the largest magnitudes; those are still to be multiplied with `factor`.
SIS_INLINE void int8_steps(SixteenHeads& s, Vec factor) {
  const Vec most = Simd::set1(0x1.FEp127f);
  const Vec top = Simd::min(Simd::reduce_sixteen(s.tops[0], Larger{}), most);
  const __mmask16 some =  // 127 / top would overflow
      _mm512_cmp_ps_mask(top, Simd::set1(1e-30f), _CMP_GE_OQ);
  const Vec largest = Simd::min(Simd::mul(top, factor), most);
  Simd::store(s.step, _mm512_maskz_div_ps(some, largest, Simd::set1(127)));
  Simd::store(s.inverse, _mm512_maskz_div_ps(some, Simd::set1(127), top));
}

// The queries of a row.
SIS_INLINE void turn_queries(const RotateArgs<bf16>& a, bf16* first, const TurnTable& table,
                             int dim, int half, SixteenHeads& s) {
  for (int head = 0; head < a.heads; head += kTogether) {
    const int count = static_cast<int>(least(kTogether, a.heads - head));
    const Run run{first + head * dim, dim, count, a.stride};
    turn_heads<false, false>(run, s, table, dim, half);
    norm_factors(s, a.q_norm, dim, a.eps);
    for (int i = 0; i < count; ++i) {
      const Vec factor = Simd::set1(s.factor[i]);
      const float* const x = s.turned + i * dim;
      bf16* const to = run.at(i);
#pragma GCC unroll 4
      for (int d = 0; d < dim; d += Line::kElements)
        Line::store(to + d, Line::round(Simd::mul(Simd::load(x + d), factor),
                                        Simd::mul(Simd::load(x + d + kLanes), factor)));
    }
  }
}

// Keys as they will be stored, in order of dimension.
template <bool kRows>
SIS_INLINE void turn_keys(const RotateArgs<bf16>& a, const Run& run, const TurnTable& table,
                          int dim, int half, SixteenHeads& s) {
  const int bytes = stored_bytes(dim, a.cache.dtype);
  if (a.cache.dtype == DType::kBf16) {
    turn_heads<false, kRows>(run, s, table, dim, half);
    norm_factors(s, a.k_norm, dim, a.eps);
    for (int i = 0; i < run.count; ++i) {
      const Vec factor = Simd::set1(s.factor[i]);
      const float* const x = s.turned + i * dim;
      bf16* const to = reinterpret_cast<bf16*>(s.stored + i * bytes);
#pragma GCC unroll 4
      for (int d = 0; d < dim; d += Line::kElements)
        Line::store(to + d,
                    Line::finite(Line::round(Simd::mul(Simd::load(x + d), factor),
                                             Simd::mul(Simd::load(x + d + kLanes), factor))));
    }
    return;
  }
  turn_heads<true, kRows>(run, s, table, dim, half);
  norm_factors(s, a.k_norm, dim, a.eps);
  int8_steps(s, Simd::load(s.factor));
  for (int i = 0; i < run.count; ++i) {
    const Vec inverse = Simd::set1(s.inverse[i]);
#pragma GCC unroll 2
    for (int d = 0; d < dim; d += 64) {
      const auto part = [&](int p) __attribute__((always_inline)) {
        return d + p < dim ? Simd::mul(Simd::load(s.turned + i * dim + d + p), inverse)
                           : Simd::zero();
      };
      _mm512_store_si512(s.stored + i * bytes + d, to_bytes(part(0), part(16), part(32), part(48)));
    }
  }
}

// Sixteen keys of one head to their half of its tile.
SIS_INLINE void lay_sixteen_keys(const SixteenHeads& s, int dim, DType dtype, std::byte* half) {
  const int bytes = stored_bytes(dim, dtype);
  // Sixteen dwords of each key: 32 dimensions of bf16, 64 of int8.
  for (int b = 0; b < bytes; b += 64) {
    Vec v[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      v[i] = Simd::load(reinterpret_cast<const float*>(s.stored + i * bytes + b));
    Simd::transpose(v);
    std::byte* const to = half + b * 32;
    if (dtype == DType::kBf16) {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) Simd::store(reinterpret_cast<float*>(to + i * 64), v[i]);
      continue;
    }
    // Four dimensions of sixteen keys, a dword per key: exchanged within lanes, then across.
    const __m512i exchange = _mm512_set4_epi32(0x0F0B0703, 0x0E0A0602, 0x0D090501, 0x0C080400);
    const auto lay_eight = [&](const Vec* from, std::byte* lines) __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i)
        _mm512_storeu_si512(lines + i * 64, exchange_dwords(_mm512_shuffle_epi8(
                                                _mm512_castps_si512(from[i]), exchange)));
    };
    lay_eight(v, to);
    if (b + 32 < dim) lay_eight(v + 8, to + 1024);
  }
}

// Keys of sixteen rows, the first at `place` of the block that begins at `tiles`.
SIS_INLINE void cache_half_of_keys(const RotateArgs<bf16>& a, bf16* first, int place,
                                   std::byte* tiles, const TurnTable& table, int dim, int half,
                                   SixteenHeads& s) {
  const KvLayer& cache = a.cache;
  for (int h = 0; h < cache.kv_heads; ++h, first += dim, tiles += cache.head_bytes) {
    turn_keys<true>(a, {first, a.stride, kTogether, dim}, table, dim, half, s);
    const bool int8 = cache.dtype == DType::kI8;
    lay_sixteen_keys(s, dim, cache.dtype, tiles + place / 16 * (int8 ? 512 : 1024));
    if (int8) __builtin_memcpy(tiles + 2 * cache.tile_bytes + place * 4, s.step, sizeof s.step);
  }
}
// The keys of one row.
SIS_INLINE void cache_row_of_keys(const RotateArgs<bf16>& a, bf16* first, int place,
                                  std::byte* tiles, const TurnTable& table, int dim, int half,
                                  SixteenHeads& s) {
  const KvLayer& cache = a.cache;
  const int bytes = stored_bytes(dim, cache.dtype);
  for (int head = 0; head < cache.kv_heads; head += kTogether) {
    const int count = static_cast<int>(least(kTogether, cache.kv_heads - head));
    turn_keys<false>(a, {first + head * dim, dim, count, a.stride}, table, dim, half, s);
    for (int i = 0; i < count; ++i, tiles += cache.head_bytes) {
      cache_key(s.stored + i * bytes, cache, place, tiles);
      if (cache.dtype == DType::kI8)
        __builtin_memcpy(tiles + 2 * cache.tile_bytes + place * 4, s.step + i, 4);
    }
  }
}

// A value, or two of places 16 apart, to their rows of pairs.
template <bool kBoth>
SIS_INLINE void lay_value_pairs(const bf16* x, const bf16* y, __mmask32 mine, int dim,
                                std::byte* to) {
#pragma GCC unroll 4
  for (int d = 0; d < dim; d += Line::kElements, to += 2048) {
    __builtin_prefetch(x + dim + d);
    if (kBoth) __builtin_prefetch(y + dim + d);
    const __m512i one = Line::finite(Line::load(x + d));
    const __m512i two = kBoth ? Line::finite(Line::load(y + d)) : one;
    const __m512i low = Line::pairs(one, two, 0), high = Line::pairs(one, two, 1);
    if constexpr (kBoth) {
      _mm512_storeu_si512(to, low);
      _mm512_storeu_si512(to + 1024, high);
    } else {
      _mm512_mask_storeu_epi16(to, mine, low);
      _mm512_mask_storeu_epi16(to + 1024, mine, high);
    }
  }
}
SIS_INLINE void cache_values_bf16(const RotateArgs<bf16>& a, const bf16* first, int rows, int place,
                                  std::byte* tiles, int dim) {
  const int64_t apart = 16 * a.stride;
  for (int h = 0; h < a.cache.kv_heads; ++h, first += dim, tiles += a.cache.head_bytes) {
    std::byte* const tile = tiles + a.cache.tile_bytes;
    for (int i = 0; i < rows; ++i) {
      const int j = place + i;
      const bf16* const x = first + i * a.stride;
      std::byte* const to = tile + j % 16 * 64;
      if (j < 16 && i + 16 < rows)
        lay_value_pairs<true>(x, x + apart, 0, dim, to);
      else if (j < 16 || i < 16)  // others went with their partners
        lay_value_pairs<false>(x, x, j < 16 ? Line::kEven : Line::kOdd, dim, to);
    }
  }
}

// Up to sixteen rows of one head.
SIS_INLINE void cache_some_values_int8(const Run& run, const KvLayer& cache, int place,
                                       std::byte* tiles, int dim, SixteenHeads& s) {
  for (int i = 0; i < kTogether; ++i) {
    __m512i top = _mm512_setzero_si512();
    for (int d = 0; i < run.count && d < dim; d += Line::kElements) {
      __builtin_prefetch(run.at(i) + run.ahead + d);
      top = _mm512_max_epu16(
          top, _mm512_and_si512(Line::load(run.at(i) + d), _mm512_set1_epi16(0x7FFF)));
    }
    Vec low, high;
    Line::widen(Line::finite(top), low, high);
    Simd::store(s.tops[i], Simd::max(low, high));
  }
  int8_steps(s, Simd::set1(1));
  std::byte* const tile = tiles + cache.tile_bytes;
  for (int i = 0; i < run.count; ++i) {
    const int j = place + i;
    __builtin_memcpy(tile + cache.tile_bytes + (kKvBlockTokens + j) * 4, s.step + i, 4);
    std::byte* to = tile + j % 16 * 32 + j / 16 * 16;
    const Vec inverse = Simd::set1(s.inverse[i]);
#pragma GCC unroll 2
    for (int d = 0; d < dim; d += 64, to += 2048) {
      const bool both = d + 32 < dim;
      const bf16* const x = run.at(i) + d;
      Vec v[4];
      Line::widen(Line::load(x), v[0], v[1]);
      Line::widen(both ? Line::load(x + 32) : _mm512_setzero_si512(), v[2], v[3]);
      const __m512i bytes = to_bytes(Simd::mul(v[0], inverse), Simd::mul(v[1], inverse),
                                     Simd::mul(v[2], inverse), Simd::mul(v[3], inverse));
      const auto lay = [&](int n, __m128i sixteen) __attribute__((always_inline)) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + n * 512), sixteen);
      };
      lay(0, _mm512_castsi512_si128(bytes));
      lay(1, _mm512_extracti32x4_epi32(bytes, 1));
      if (!both) continue;
      lay(2, _mm512_extracti32x4_epi32(bytes, 2));
      lay(3, _mm512_extracti32x4_epi32(bytes, 3));
    }
  }
}
SIS_INLINE void cache_values_int8(const RotateArgs<bf16>& a, bf16* first, int rows, int place,
                                  std::byte* tiles, int dim, SixteenHeads& s) {
  for (int h = 0; h < a.cache.kv_heads; ++h, first += dim, tiles += a.cache.head_bytes)
    for (int i = 0; i < rows; i += kTogether) {
      const int count = static_cast<int>(least(kTogether, rows - i));
      cache_some_values_int8({first + i * a.stride, a.stride, count, dim}, a.cache, place + i,
                             tiles, dim, s);
    }
}

// Whether heads, their halves and what is not turned are whole lines.
SIS_INLINE bool in_lines(const RotateArgs<bf16>& a) {
  return a.cache.head_dim % Line::kElements == 0 && a.frequencies % Line::kElements == 0;
}

// `dim` and `half` are those of the arguments; constants where they are common.
SIS_INLINE void rotate_lines_of(const RotateArgs<bf16>& a, int64_t begin, int64_t end, int dim,
                                int half) {
  const KvLayer& cache = a.cache;
  alignas(64) float frequency[kFrequenciesMax] = {};
  alignas(64) float cosine[kFrequenciesMax], sine[kFrequenciesMax], ones[kDecoderHeadDimMax];
  for (int d = 0; d < dim; d += kLanes) Simd::store(ones + d, Simd::set1(1));
  __builtin_memcpy(frequency, a.inverse_frequency, static_cast<size_t>(half) * 4);
  SixteenHeads s;
  alignas(64) float q_products[4 * kFrequenciesMax], k_products[kTogether * 4 * kFrequenciesMax];
  const TurnTable q_table{q_products, a.q_norm ? a.q_norm : ones};
  const TurnTable k_table{k_products, a.k_norm ? a.k_norm : ones};
  for (int64_t r = begin; r < end;) {
    const int64_t position = a.position + r;
    const int place = static_cast<int>(position % kKvBlockTokens);
    const int rows = static_cast<int>(least(kKvBlockTokens - place, end - r));
    std::byte* const tiles = cache.data + a.blocks[position / kKvBlockTokens] * cache.block_bytes;
    bf16* const first = a.qkv + r * a.stride;
    bf16* const keys = first + a.heads * dim;
    for (int done = 0, some; done < rows; done += some) {
      some = static_cast<int>(least(16 - (place + done) % 16, rows - done));
      const bool whole = some == kTogether;
      for (int i = 0; i < some; ++i) {
        const int64_t row = (done + i) * a.stride;
        turn_angles(static_cast<float>(position + done + i), frequency, half, a.rope_factor, cosine,
                    sine);
        q_table.fill(0, cosine, sine, half);
        turn_queries(a, first + row, q_table, dim, half, s);
        k_table.fill(whole ? i : 0, cosine, sine, half);
        if (!whole)
          cache_row_of_keys(a, keys + row, place + done + i, tiles, k_table, dim, half, s);
      }
      if (whole)
        cache_half_of_keys(a, keys + done * a.stride, place + done, tiles, k_table, dim, half, s);
    }
    bf16* const values = keys + cache.kv_heads * dim;
    if (cache.dtype == DType::kI8)
      cache_values_int8(a, values, rows, place, tiles, dim, s);
    else
      cache_values_bf16(a, values, rows, place, tiles, dim);
    r += rows;
  }
}
SIS_INLINE void rotate_lines(const RotateArgs<bf16>& a, int64_t begin, int64_t end) {
  const int dim = a.cache.head_dim, half = a.frequencies;
  if (dim == 128 && half == 64)
    rotate_lines_of(a, begin, end, 128, 64);
  else
    rotate_lines_of(a, begin, end, dim, half);
}

}  // namespace
}  // namespace sis::kernels
