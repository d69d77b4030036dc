// The passes once, on the compiler's own vectors, as wide as those of the CPU that the including
// file is compiled for. Nothing here may be an inline function of the standard
// library: the linker keeps one copy of those for all CPUs.
#pragma once

#include "infer/engine/sampler_passes.h"

namespace sis::engine {
namespace {

#define SIS_LOOP [[gnu::always_inline]] inline

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
constexpr int kLanes = kVectorBytes / 4;
constexpr int kParts = kGroupTokens / kLanes;  // vectors of a group
constexpr float kInfinity = __builtin_inff();

typedef float VecF __attribute__((vector_size(kVectorBytes)));
typedef int32_t VecI __attribute__((vector_size(kVectorBytes)));
typedef uint64_t VecU __attribute__((vector_size(kVectorBytes)));
typedef float AnyF __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
typedef int32_t AnyI __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));

SIS_LOOP VecF load(const float* p) { return *reinterpret_cast<const AnyF*>(p); }
SIS_LOOP void store(float* p, VecF v) { *reinterpret_cast<AnyF*>(p) = v; }
SIS_LOOP void store(int32_t* p, VecI v) { *reinterpret_cast<AnyI*>(p) = v; }
SIS_LOOP VecF all(float x) { return VecF{} + x; }
SIS_LOOP VecI all(int32_t x) { return VecI{} + x; }
SIS_LOOP VecF larger(VecF a, VecF b) { return a > b ? a : b; }
SIS_LOOP VecF smaller(VecF a, VecF b) { return a < b ? a : b; }
SIS_LOOP VecI lane_numbers() {
  VecI numbers{};
  for (int i = 0; i < kLanes; ++i) numbers[i] = i;
  return numbers;
}

// Lane i becomes what stood `by` lanes further on, round the end.
SIS_LOOP VecF turned(VecF v, int by) {
#if defined(__clang__)  // has no such shuffle; it only builds the fuzz targets
  VecF out{};
  for (int i = 0; i < kLanes; ++i) out[i] = v[(i + by) & (kLanes - 1)];
  return out;
#else
  return __builtin_shuffle(v, (lane_numbers() + by) & (kLanes - 1));
#endif
}
SIS_LOOP VecU turned(VecU v, int by) {
  VecU numbers{};
#if defined(__clang__)
  for (int i = 0; i < kLanes / 2; ++i) numbers[i] = v[(i + by) & (kLanes / 2 - 1)];
  return numbers;
#else
  for (int i = 0; i < kLanes / 2; ++i) numbers[i] = static_cast<uint64_t>(i);
  return __builtin_shuffle(v, (numbers + static_cast<uint64_t>(by)) & (kLanes / 2 - 1));
#endif
}

// Halves until one lane is left.
SIS_LOOP float largest(VecF v) {
#pragma GCC unroll 4
  for (int by = kLanes / 2; by > 0; by /= 2) v = larger(v, turned(v, by));
  return v[0];
}
SIS_LOOP float added(VecF v) {
#pragma GCC unroll 4
  for (int by = kLanes / 2; by > 0; by /= 2) v += turned(v, by);
  return v[0];
}
SIS_LOOP uint64_t added(VecU v) {
#pragma GCC unroll 4
  for (int by = kLanes / 4; by > 0; by /= 2) v += turned(v, by);
  return v[0];
}

// The logits of a group; a short last one is filled up in `tail`.
SIS_LOOP const float* group_logits(const float* logits, int32_t vocab, int32_t group, float fill,
                                   float* tail) {
  const int32_t begin = group * kGroupTokens;
  if (vocab - begin >= kGroupTokens) return logits + begin;
  for (int i = 0; i < kGroupTokens; ++i) tail[i] = i < vocab - begin ? logits[begin + i] : fill;
  return tail;
}
SIS_LOOP const float* group_logits(const Row& row, int32_t group, float* tail) {
  return group_logits(row.logits, row.vocab, group, -kInfinity, tail);
}

// 2^x for x <= 0, relative error below 2e-7; exact at 0. What is below -126 gives 2^-126.
SIS_LOOP VecF exp2_below_one(VecF x) {
  x = larger(x, all(-126.0f));
  const VecF shifted = x + 12582912.0f;        // 1.5 * 2^23: the nearest integer in the low bits
  const VecF f = x - (shifted - 12582912.0f);  // [-0.5, 0.5]
  // Taylor coefficients ln(2)^k / k!
  VecF p = all(1.5403530e-4f);
  p = p * f + 1.3333558e-3f;
  p = p * f + 9.6181291e-3f;
  p = p * f + 5.5504109e-2f;
  p = p * f + 2.4022651e-1f;
  p = p * f + 6.9314718e-1f;
  p = p * f + 1.0f;
  return reinterpret_cast<VecF>(reinterpret_cast<VecI>(p) +
                                (reinterpret_cast<VecI>(shifted) << 23));
}

SIS_LOOP VecI weights_of(const Row& row, VecF x) {
  const VecF share = exp2_below_one((x - row.max) * row.scale);
  return __builtin_convertvector(share * static_cast<float>(kWeightOne) + 0.5f, VecI);
}
SIS_LOOP VecI bins_of(const Row& row, VecF x) {
  const VecF bin = smaller((row.max - x) * row.bin_scale, all(float{kBins - 1}));
  return __builtin_convertvector(bin, VecI);
}
SIS_LOOP VecI kept_weights_of(const Row& row, const Kept& kept, VecF x, int32_t first_id) {
  const VecI w = weights_of(row, x);
  const VecI inside =
      (x > kept.logit) | ((x == kept.logit) & (lane_numbers() + first_id <= kept.id));
  return inside & (w >= kept.weight_min) & w;
}

Range find_range(const float* logits, int32_t vocab, float* peaks) {
  VecF max = all(-kInfinity), min = all(kInfinity);
  VecI magnitude = {};
  alignas(64) float tail[kGroupTokens];
  const int32_t groups = groups_for(vocab);
  for (int32_t g = 0; g < groups; ++g) {
    // Repeating the last logit changes neither end of the range.
    const float* x = group_logits(logits, vocab, g, logits[vocab - 1], tail);
    VecF peak = load(x);
    for (int part = 0; part < kParts; ++part) {
      const VecF v = load(x + part * kLanes);
      const VecI bits = reinterpret_cast<VecI>(v) & 0x7FFFFFFF;
      magnitude = bits > magnitude ? bits : magnitude;
      peak = larger(peak, v);
      min = smaller(v, min);
    }
    max = larger(peak, max);
    peaks[g] = largest(peak);
  }
  bool finite = true;
  for (int i = 0; i < kLanes; ++i) finite &= magnitude[i] < 0x7F800000;
  return {largest(max), -largest(-min), finite};
}

float apply_mask(const float* logits, const uint64_t* allowed, int32_t vocab, float* out,
                 float* peaks) {
  float max = -kInfinity;
  alignas(64) float tail[kGroupTokens], masked[kGroupTokens];
  const VecI bit = all(1) << lane_numbers();
  const int32_t groups = groups_for(vocab);
  for (int32_t g = 0; g < groups; ++g) {
    const uint64_t word = allowed[g];
    if (word == 0) {
      peaks[g] = -kInfinity;
      continue;
    }
    const float* x = group_logits(logits, vocab, g, -kInfinity, tail);
    const bool whole = vocab - g * kGroupTokens >= kGroupTokens;
    float* const target = whole ? out + int64_t{g} * kGroupTokens : masked;
    VecF peak = all(-kInfinity);
    for (int part = 0; part < kParts; ++part) {
      const auto bits = static_cast<int32_t>(word >> (part * kLanes) & ((1u << kLanes) - 1));
      const VecI set = all(bits) & bit;
      const VecF v = set != 0 ? load(x + part * kLanes) : all(-kInfinity);
      store(target + part * kLanes, v);
      peak = larger(peak, v);
    }
    if (!whole)
      for (int32_t id = g * kGroupTokens; id < vocab; ++id) out[id] = masked[id % kGroupTokens];
    peaks[g] = largest(peak);
    max = peaks[g] > max ? peaks[g] : max;
  }
  return max;
}

double sum_of(const Row& row) {
  double total = 0;
  alignas(64) float tail[kGroupTokens];
  const int32_t groups = groups_for(row.vocab);
  for (int32_t g = 0; g < groups; ++g) {
    if (row.peaks[g] < row.floor) continue;
    const float* x = group_logits(row, g, tail);
    VecF sum = {};
    for (int part = 0; part < kParts; ++part)
      sum += exp2_below_one((load(x + part * kLanes) - row.max) * row.scale);
    total += static_cast<double>(added(sum));
  }
  return total;
}

void fill_histogram(const Row& row, bool counts, Histogram& histogram) {
  alignas(64) float tail[kGroupTokens];
  alignas(64) int32_t w[kGroupTokens], bins[kGroupTokens];
  const int32_t groups = groups_for(row.vocab);
  for (int32_t g = 0; g < groups; ++g) {
    if (row.peaks[g] < row.floor) continue;
    const float* x = group_logits(row, g, tail);
    for (int part = 0; part < kParts; ++part) {
      const VecF v = load(x + part * kLanes);
      store(w + part * kLanes, weights_of(row, v));
      store(bins + part * kLanes, bins_of(row, v));
    }
    for (int i = 0; i < kGroupTokens; i += 2) {
      histogram.weight[0][bins[i]] += static_cast<uint32_t>(w[i]);
      histogram.weight[1][bins[i + 1]] += static_cast<uint32_t>(w[i + 1]);
    }
    if (!counts) continue;
    for (int i = 0; i < kGroupTokens; i += 2) {
      histogram.count[0][bins[i]] += w[i] > 0;
      histogram.count[1][bins[i + 1]] += w[i + 1] > 0;
    }
  }
}

int32_t find_members(const Row& row, int32_t bin, Candidate* out) {
  alignas(64) float tail[kGroupTokens];
  alignas(64) int32_t w[kGroupTokens], inside[kGroupTokens];
  int32_t found = 0;
  const int32_t groups = groups_for(row.vocab);
  for (int32_t g = 0; g < groups; ++g) {
    if (row.peaks[g] < row.floor) continue;
    const float* x = group_logits(row, g, tail);
    VecI any = {};
    for (int part = 0; part < kParts; ++part) {
      const VecI in = bins_of(row, load(x + part * kLanes)) == bin;
      store(inside + part * kLanes, in);
      any |= in;
    }
    const VecU words = reinterpret_cast<VecU>(any);
    uint64_t found_any = 0;
    for (int i = 0; i < kLanes / 2; ++i) found_any |= words[i];
    if (found_any == 0) continue;
    for (int part = 0; part < kParts; ++part)
      store(w + part * kLanes, weights_of(row, load(x + part * kLanes)));
    for (int i = 0; i < kGroupTokens; ++i)
      if (inside[i] != 0 && w[i] > 0) out[found++] = {x[i], g * kGroupTokens + i, w[i]};
  }
  return found;
}

template <class Weights>
SIS_LOOP uint64_t sum_groups(const Row& row, float floor, uint64_t* group_weights,
                             Weights&& weights) {
  alignas(64) float tail[kGroupTokens];
  uint64_t total = 0;
  const int32_t groups = groups_for(row.vocab);
  for (int32_t g = 0; g < groups; ++g) {
    uint64_t sum = 0;
    if (row.peaks[g] >= floor) {
      const float* x = group_logits(row, g, tail);
      VecU sums = {};
      for (int part = 0; part < kParts; ++part) {
        const auto w = reinterpret_cast<VecU>(
            weights(load(x + part * kLanes), g * kGroupTokens + part * kLanes));
        sums += (w & 0xFFFFFFFF) + (w >> 32);
      }
      sum = added(sums);
    }
    group_weights[g] = sum;
    total += sum;
  }
  return total;
}

uint64_t kept_weights(const Row& row, const Kept& kept, uint64_t* group_weights) {
  if (kept.logit == -kInfinity && kept.weight_min <= 1)
    return sum_groups(row, row.floor, group_weights,
                      [&](VecF x, int32_t) { return weights_of(row, x); });
  const float floor = kept.logit > row.floor ? kept.logit : row.floor;
  return sum_groups(row, floor, group_weights, [&](VecF x, int32_t first_id) {
    return kept_weights_of(row, kept, x, first_id);
  });
}

void kept_group(const Row& row, const Kept& kept, int32_t group, int32_t* out) {
  alignas(64) float tail[kGroupTokens];
  const float* x = group_logits(row, group, tail);
  for (int part = 0; part < kParts; ++part)
    store(out + part * kLanes, kept_weights_of(row, kept, load(x + part * kLanes),
                                               group * kGroupTokens + part * kLanes));
}

#undef SIS_LOOP

constexpr SamplerPasses kPasses{.range = find_range,
                                .mask = apply_mask,
                                .sum = sum_of,
                                .histogram = fill_histogram,
                                .members = find_members,
                                .kept = kept_weights,
                                .group = kept_group};

}  // namespace
}  // namespace sis::engine
