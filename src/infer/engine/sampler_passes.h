// The loops of sampling that look at a whole row of logits.
//
// A row is cut into groups of 64 tokens. The first pass finds every group's largest logit; the
// others skip the groups that lie below a floor. Weights are integers, so sums of them are the same
// in any order:
//
//   weight(l) = round(2^30 * 2^((l - max) * scale))         scale = log2(e) / temperature
//
// What is more than 31 / scale below the largest logit has no weight at all. Every function treats
// one row; a row of `vocab` logits may have any alignment. Plain data only: included by files
// compiled for different CPUs.
#pragma once

#include <cstdint>

namespace sis::engine {

inline constexpr int32_t kGroupTokens = 64;
inline constexpr int32_t kWeightOne = 1 << 30;   // of the largest logit
inline constexpr float kWeightOctaves = 31.01f;  // below: weight 0
inline constexpr int32_t kBins = 1024;

constexpr int32_t groups_for(int32_t vocab) { return (vocab + kGroupTokens - 1) / kGroupTokens; }

struct Row {
  const float* logits = nullptr;
  const float* peaks = nullptr;  // largest logit of each group
  int32_t vocab = 0;
  float max = 0;
  float scale = 0;
  float floor = 0;      // groups whose peak is lower are skipped
  float bin_scale = 0;  // bin of a logit: min((max - l) * bin_scale, kBins - 1), rounded down
};

struct Range {
  float max = 0, min = 0;
  bool finite = true;  // all of them
};

// Two copies that take turns, so that equal bins in a row do not wait for each other.
struct Histogram {
  uint64_t weight[2][kBins];
  uint32_t count[2][kBins];  // tokens with a weight
};

struct Candidate {
  float logit = 0;
  int32_t id = 0;
  int32_t weight = 0;
};

// Tokens from the largest logit down, equal ones by id, up to and including this one; of these the
// ones with at least `weight_min`.
struct Kept {
  float logit = 0;
  int32_t id = 0;
  int32_t weight_min = 1;
};

struct SamplerPasses {
  // peaks[groups_for(vocab)], and the range of the row. Of a row that is not finite all but
  // `finite` is worth nothing.
  Range (*range)(const float* logits, int32_t vocab, float* peaks);
  // out = allowed ? logits : -infinity, and the peaks of it. Groups without an allowed token only
  // get their peak. Bit i % 64 of allowed[i / 64] is token i. Returns the largest peak.
  float (*mask)(const float* logits, const uint64_t* allowed, int32_t vocab, float* out,
                float* peaks);
  // sum of 2^((l - max) * scale), as real numbers.
  double (*sum)(const Row& row);
  // Adds the weights of every bin, and the counts if `counts`.
  void (*histogram)(const Row& row, bool counts, Histogram& histogram);
  // The tokens of one bin that have a weight, by id; returns how many.
  int32_t (*members)(const Row& row, int32_t bin, Candidate* out);
  // Weights of the kept tokens, group by group; returns their sum.
  uint64_t (*kept)(const Row& row, const Kept& kept, uint64_t* group_weights);
  // The kept weights of one group, 0 for others; out[kGroupTokens].
  void (*group)(const Row& row, const Kept& kept, int32_t group, int32_t* out);
};

}  // namespace sis::engine
