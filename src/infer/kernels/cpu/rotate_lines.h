// The rotation of bf16 heads in whole lines of 32 elements, as most models have them.
//
// Sixteen heads are normed together, so that they share one root and one division; the keys of
// sixteen places that fill half a tile, and the values of both halves, are brought into the tiles'
// order in registers and stored as whole lines. A head's bits do not depend on its company.
#pragma once

#include "infer/kernels/cpu/rotate_angles.h"
#include "infer/kernels/cpu/rotate_lay.h"
#include "infer/kernels/cpu/simd_avx512.h"

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
  SIS_INLINE Vec add_squares(Vec sum, __m512i line) {
#if defined(__AVX512BF16__)
    return _mm512_dpbf16_ps(sum, (__m512bh)line, (__m512bh)line);
#else
    const Vec even = _mm512_castsi512_ps(_mm512_slli_epi32(line, 16));
    const Vec odd = _mm512_castsi512_ps(
        _mm512_and_si512(line, _mm512_set1_epi32(static_cast<int>(0xFFFF0000))));
    return Simd::fma(odd, odd, Simd::fma(even, even, sum));
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

// Up to sixteen heads on their way, one behind the other in each of these.
struct SixteenHeads {
  const bf16* from[kTogether];
  int row[kTogether], head[kTogether];
  int count;
  alignas(64) float lanes[kTogether][16];  // sums of squares or maxima, to be joined
  alignas(64) float factor[kTogether];     // of the norm
  alignas(64) float step[kTogether];       // of int8, and its inverse
  alignas(64) float inverse[kTogether];
  alignas(64) float wide[kTogether * kDecoderHeadDimMax];
  alignas(64) std::byte stored[kTogether * kDecoderHeadDimMax * 2];
};
// A head of int8 is stored in lines of 64.
SIS_INLINE int stored_bytes(int dim, DType dtype) {
  return dtype == DType::kBf16 ? 2 * dim : (dim + 63) / 64 * 64;
}

// The heads of some rows, sixteen at a time: row by row or, where the rows of one head lie together
// later, head by head.
struct Walk {
  const bf16* first;
  int64_t stride;
  int dim, rows, heads;
  bool by_rows;
  int row = 0, head = 0;

  [[gnu::always_inline]] inline bool next(SixteenHeads& s) {
    for (s.count = 0; s.count < kTogether && row < rows && head < heads; ++s.count) {
      s.from[s.count] = first + row * stride + head * dim;
      s.row[s.count] = row;
      s.head[s.count] = head;
      int &inner = by_rows ? head : row, &outer = by_rows ? row : head;
      if (++inner == (by_rows ? heads : rows)) {
        inner = 0;
        ++outer;
      }
    }
    return s.count > 0;
  }
};

struct RowAngles {
  alignas(64) float cosine[kTogether][kFrequenciesMax], sine[kTogether][kFrequenciesMax];
};

struct Added {
  [[gnu::always_inline]] inline Vec operator()(Vec a, Vec b) const { return Simd::add(a, b); }
};
struct Larger {
  [[gnu::always_inline]] inline Vec operator()(Vec a, Vec b) const { return Simd::max(a, b); }
};

SIS_INLINE void norm_factors(SixteenHeads& s, int dim, float eps) {
  for (int i = 0; i < s.count; ++i) {
    const bf16* const x = s.from[i];
    Vec even = Simd::zero(), odd = Simd::zero();
    int d = 0;
    for (; d + 64 <= dim; d += 64) {
      even = Line::add_squares(even, Line::load(x + d));
      odd = Line::add_squares(odd, Line::load(x + d + 32));
    }
    if (d < dim) even = Line::add_squares(even, Line::load(x + d));
    Simd::store(s.lanes[i], Simd::add(even, odd));
  }
  for (int i = s.count; i < kTogether; ++i) Simd::store(s.lanes[i], Simd::zero());
  const Vec squares = Simd::reduce_sixteen(s.lanes[0], Added{});
  const Vec mean = _mm512_div_ps(squares, Simd::set1(static_cast<float>(dim)));
  Simd::store(s.factor,
              _mm512_div_ps(Simd::set1(1), _mm512_sqrt_ps(Simd::add(mean, Simd::set1(eps)))));
}

// take(d, low, high) for dimensions d .. d + 31 of a head, normed and turned. The products that
// are not fused are spelt out: every path must round alike.
template <bool kNorm, class Take>
SIS_INLINE void turn_lines(const bf16* x, float factor, const float* norm, const float* cosine,
                           const float* sine, int half, int dim, const Take& take) {
  const Vec common = Simd::set1(factor);
  const auto load = [&](int d, Vec& low, Vec& high) __attribute__((always_inline)) {
    Line::widen(Line::load(x + d), low, high);
    if constexpr (kNorm) {
      low = Simd::mul(Simd::mul(low, common), Simd::load(norm + d));
      high = Simd::mul(Simd::mul(high, common), Simd::load(norm + d + 16));
    }
  };
  for (int d = 0; d < half; d += Line::kElements) {
    Vec x0, x1, y0, y1;
    load(d, x0, x1);
    load(half + d, y0, y1);
    const Vec c0 = Simd::load(cosine + d), c1 = Simd::load(cosine + d + 16);
    const Vec s0 = Simd::load(sine + d), s1 = Simd::load(sine + d + 16);
    take(d, _mm512_fmsub_ps(x0, c0, Simd::mul(y0, s0)), _mm512_fmsub_ps(x1, c1, Simd::mul(y1, s1)));
    take(half + d, Simd::fma(y0, c0, Simd::mul(x0, s0)), Simd::fma(y1, c1, Simd::mul(x1, s1)));
  }
  for (int d = 2 * half; d < dim; d += Line::kElements) {
    Vec low, high;
    load(d, low, high);
    take(d, low, high);
  }
}
template <class Take>
SIS_INLINE void turn_head(const RotateArgs<bf16>& a, const float* norm, const SixteenHeads& s,
                          const RowAngles& angles, int i, const Take& take) {
  const float *const cosine = angles.cosine[s.row[i]], *const sine = angles.sine[s.row[i]];
  if (norm)
    turn_lines<true>(s.from[i], s.factor[i], norm, cosine, sine, a.frequencies, a.cache.head_dim,
                     take);
  else
    turn_lines<false>(s.from[i], 0, norm, cosine, sine, a.frequencies, a.cache.head_dim, take);
}

SIS_INLINE void turn_queries(const RotateArgs<bf16>& a, bf16* first, int rows,
                             const RowAngles& angles, SixteenHeads& s) {
  const int dim = a.cache.head_dim;
  Walk walk{first, a.stride, dim, rows, a.heads, /*by_rows=*/true};
  while (walk.next(s)) {
    if (a.q_norm) norm_factors(s, dim, a.eps);
    for (int i = 0; i < s.count; ++i) {
      bf16* const to = const_cast<bf16*>(s.from[i]);
      turn_head(
          a, a.q_norm, s, angles, i, [&](int d, Vec low, Vec high) __attribute__((always_inline)) {
            Line::store(to + d, Line::round(low, high));
          });
    }
  }
}

// Steps from the largest magnitudes in `lanes`.
SIS_INLINE void int8_steps(SixteenHeads& s) {
  for (int i = s.count; i < kTogether; ++i) Simd::store(s.lanes[i], Simd::zero());
  const Vec largest =
      Simd::min(Simd::reduce_sixteen(s.lanes[0], Larger{}), Simd::set1(0x1.FEp127f));
  const __mmask16 some =  // 127 / largest would overflow
      _mm512_cmp_ps_mask(largest, Simd::set1(1e-30f), _CMP_GE_OQ);
  Simd::store(s.step, _mm512_maskz_div_ps(some, largest, Simd::set1(127)));
  Simd::store(s.inverse, _mm512_maskz_div_ps(some, Simd::set1(127), largest));
}

// Keys as they will be stored, in order of dimension.
SIS_INLINE void turn_keys(const RotateArgs<bf16>& a, const RowAngles& angles, SixteenHeads& s) {
  const int dim = a.cache.head_dim, bytes = stored_bytes(dim, a.cache.dtype);
  if (a.k_norm) norm_factors(s, dim, a.eps);
  if (a.cache.dtype == DType::kBf16) {
    for (int i = 0; i < s.count; ++i) {
      bf16* const to = reinterpret_cast<bf16*>(s.stored + i * bytes);
      turn_head(
          a, a.k_norm, s, angles, i, [&](int d, Vec low, Vec high) __attribute__((always_inline)) {
            Line::store(to + d, Line::finite(Line::round(low, high)));
          });
    }
    return;
  }
  for (int i = 0; i < s.count; ++i) {
    float* const to = s.wide + i * bytes;
    if (dim < bytes) {
      Simd::store(to + dim, Simd::zero());
      Simd::store(to + dim + 16, Simd::zero());
    }
    Vec top0 = Simd::zero(), top1 = Simd::zero();
    turn_head(
        a, a.k_norm, s, angles, i, [&](int d, Vec low, Vec high) __attribute__((always_inline)) {
          top0 = Simd::max(Simd::abs(low), top0);  // of what is no number the other one is taken
          top1 = Simd::max(Simd::abs(high), top1);
          Simd::store(to + d, low);
          Simd::store(to + d + 16, high);
        });
    Simd::store(s.lanes[i], Simd::max(top0, top1));
  }
  int8_steps(s);
  for (int i = 0; i < s.count; ++i) {
    const Vec inverse = Simd::set1(s.inverse[i]);
    for (int d = 0; d < bytes; d += 64) {
      const float* const x = s.wide + i * bytes + d;
      _mm512_store_si512(
          s.stored + i * bytes + d,
          to_bytes(Simd::mul(Simd::load(x), inverse), Simd::mul(Simd::load(x + 16), inverse),
                   Simd::mul(Simd::load(x + 32), inverse), Simd::mul(Simd::load(x + 48), inverse)));
    }
  }
}

// Sixteen keys of one head to their half of its tile.
SIS_INLINE void lay_sixteen_keys(const SixteenHeads& s, const KvLayer& cache, std::byte* half) {
  const int bytes = stored_bytes(cache.head_dim, cache.dtype);
  // Sixteen dwords of each key: 32 dimensions of bf16, 64 of int8.
  for (int b = 0; b < bytes; b += 64) {
    Vec v[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      v[i] = Simd::load(reinterpret_cast<const float*>(s.stored + i * bytes + b));
    Simd::transpose(v);
    std::byte* const to = half + b * 32;
    if (cache.dtype == DType::kBf16) {
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
    if (b + 32 < cache.head_dim) lay_eight(v + 8, to + 1024);
  }
}

// `place` is that of row 0 in the block that begins at `tiles`.
SIS_INLINE void cache_keys(const RotateArgs<bf16>& a, const bf16* first, int rows, int place,
                           std::byte* tiles, const RowAngles& angles, SixteenHeads& s) {
  const KvLayer& cache = a.cache;
  const int bytes = stored_bytes(cache.head_dim, cache.dtype);
  const bool int8 = cache.dtype == DType::kI8;
  Walk walk{first, a.stride, cache.head_dim, rows, cache.kv_heads, /*by_rows=*/false};
  while (walk.next(s)) {
    turn_keys(a, angles, s);
    if (rows == kTogether) {
      std::byte* const tile = tiles + s.head[0] * cache.head_bytes;
      lay_sixteen_keys(s, cache, tile + place / 16 * (int8 ? 512 : 1024));
      if (int8) __builtin_memcpy(tile + 2 * cache.tile_bytes + place * 4, s.step, sizeof s.step);
      continue;
    }
    for (int i = 0; i < s.count; ++i) {
      std::byte* const tile = tiles + s.head[i] * cache.head_bytes;
      const int j = place + s.row[i];
      cache_key(s.stored + i * bytes, cache, j, tile);
      if (int8) __builtin_memcpy(tile + 2 * cache.tile_bytes + j * 4, s.step + i, 4);
    }
  }
}

SIS_INLINE void cache_values_bf16(const RotateArgs<bf16>& a, const bf16* first, int rows, int place,
                                  std::byte* tiles) {
  const KvLayer& cache = a.cache;
  for (int h = 0; h < cache.kv_heads; ++h, first += cache.head_dim, tiles += cache.head_bytes) {
    std::byte* const tile = tiles + cache.tile_bytes;
    for (int i = 0; i < rows; ++i) {
      const int j = place + i;
      const bf16* const x = first + i * a.stride;
      if (j >= 16 && i >= 16) continue;  // went with its partner
      const bool paired = j < 16 && i + 16 < rows;
      const bf16* const y = paired ? x + 16 * a.stride : x;
      const __mmask32 mine = paired ? 0xFFFFFFFF : j < 16 ? Line::kEven : Line::kOdd;
      std::byte* to = tile + j % 16 * 64;
      for (int d = 0; d < cache.head_dim; d += Line::kElements, to += 2048) {
        const __m512i one = Line::finite(Line::load(x + d)), two = Line::finite(Line::load(y + d));
        _mm512_mask_storeu_epi16(to, mine, Line::pairs(one, two, 0));
        _mm512_mask_storeu_epi16(to + 1024, mine, Line::pairs(one, two, 1));
      }
    }
  }
}

SIS_INLINE void cache_values_int8(const RotateArgs<bf16>& a, const bf16* first, int rows, int place,
                                  std::byte* tiles, SixteenHeads& s) {
  const KvLayer& cache = a.cache;
  const int dim = cache.head_dim;
  Walk walk{first, a.stride, dim, rows, cache.kv_heads, /*by_rows=*/false};
  while (walk.next(s)) {
    for (int i = 0; i < s.count; ++i) {
      __m512i top = _mm512_setzero_si512();
      for (int d = 0; d < dim; d += Line::kElements)
        top = _mm512_max_epu16(top, _mm512_and_si512(Line::finite(Line::load(s.from[i] + d)),
                                                     _mm512_set1_epi16(0x7FFF)));
      Vec low, high;
      Line::widen(top, low, high);
      Simd::store(s.lanes[i], Simd::max(low, high));
    }
    int8_steps(s);
    for (int i = 0; i < s.count; ++i) {
      const int j = place + s.row[i];
      std::byte* const tile = tiles + s.head[i] * cache.head_bytes + cache.tile_bytes;
      __builtin_memcpy(tile + cache.tile_bytes + (kKvBlockTokens + j) * 4, s.step + i, 4);
      std::byte* to = tile + j % 16 * 32 + j / 16 * 16;
      const Vec inverse = Simd::set1(s.inverse[i]);
      for (int d = 0; d < dim; d += 64, to += 2048) {
        const bool both = d + 32 < dim;
        const bf16* const x = s.from[i] + d;
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
}

// Whether heads, their halves and what is not turned are whole lines.
SIS_INLINE bool in_lines(const RotateArgs<bf16>& a) {
  return a.cache.head_dim % Line::kElements == 0 && a.frequencies % Line::kElements == 0;
}

SIS_INLINE void rotate_lines(const RotateArgs<bf16>& a, int64_t begin, int64_t end) {
  const KvLayer& cache = a.cache;
  RowAngles angles;
  SixteenHeads s;
  alignas(64) float frequency[kFrequenciesMax] = {};
  __builtin_memcpy(frequency, a.inverse_frequency, static_cast<size_t>(a.frequencies) * 4);
  const int64_t width = int64_t{cache.kv_heads} * cache.head_dim;
  for (int64_t r = begin; r < end;) {
    const int64_t position = a.position + r;
    const int place = static_cast<int>(position % kKvBlockTokens);
    const int rows = static_cast<int>(least(kKvBlockTokens - place, end - r));
    std::byte* const tiles = cache.data + a.blocks[position / kKvBlockTokens] * cache.block_bytes;
    bf16* const first = a.qkv + r * a.stride;
    const bf16* const keys = first + int64_t{a.heads} * cache.head_dim;
    // Half a block at a time: its angles and sixteen of its heads stay in the first-level cache.
    for (int done = 0, some; done < rows; done += some) {
      some = static_cast<int>(least(16 - (place + done) % 16, rows - done));
      for (int i = 0; i < some; ++i)
        turn_angles(static_cast<float>(position + done + i), frequency, a.frequencies,
                    a.rope_factor, angles.cosine[i], angles.sine[i]);
      turn_queries(a, first + done * a.stride, some, angles, s);
      cache_keys(a, keys + done * a.stride, some, place + done, tiles, angles, s);
    }
    if (cache.dtype == DType::kI8)
      cache_values_int8(a, keys + width, rows, place, tiles, s);
    else
      cache_values_bf16(a, keys + width, rows, place, tiles);
    r += rows;
  }
}

}  // namespace
}  // namespace sis::kernels
