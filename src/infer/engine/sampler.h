// Chooses tokens from logits, and tells how likely tokens were.
//
// Every row is treated by itself, the rows split over the workers. A draw depends on its logits,
// its parameters, the seed and the number of the token, and on nothing else: no generator's state
// is kept, so company, chunks and preemption change nothing.
//
// What is kept is exactly what the sorted definition says, without sorting: logits from the largest
// down, equal ones by id; the first top_k; of these the shortest beginning whose weights reach
// top_p of theirs; of these the weights of at least min_p of the largest. Weights are the integers
// of sampler_passes.h, whose sums do not depend on the order.
#pragma once

#include <cstdint>
#include <span>

#include "infer/engine/generator.h"
#include "infer/engine/token_counts.h"
#include "infer/ops/context.h"

namespace sis::engine {

enum class SampleStatus : uint8_t {
  kToken,
  kNothingAllowed,  // the mask and the bans leave no token
  kNotFinite,       // a NaN or an infinity among the logits
};

// One row's question and answer.
struct SampleRow {
  const float* logits = nullptr;  // [vocab], only read
  // Which token: `given` if not negative (only logprobs are computed), else a draw.
  int32_t given = -1;
  const Sampling* sampling = nullptr;
  uint64_t seed = 0;
  int32_t position = 0;                                  // number of the token in its choice
  const TokenCounts* counts = nullptr;                   // null: no penalties
  const uint64_t* allowed = nullptr;                     // [(vocab + 63) / 64] bits; null: all
  std::span<const int32_t> banned_first, banned_second;  // ids of the vocabulary
  bool logprob_wanted = false;
  std::span<TokenLogprob> top;  // filled with the most likely ones; at most vocab

  SampleStatus status = SampleStatus::kToken;
  int32_t token = -1;
  float logprob = 0;
};

// vocab: logits per row. Scratch is taken from the context's workspace.
void sample_rows(ops::Context& context, std::span<SampleRow> rows, int32_t vocab);

// The row-wise loops in use (sampler_passes.h), the best within the limit.
struct SamplerPasses;
const SamplerPasses& sampler_passes(Isa limit);

// kInvalidArgument with `param` for values the sampler does not take.
Status check_sampling(const Sampling& sampling, int32_t vocab);

}  // namespace sis::engine
