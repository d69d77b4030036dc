// Where a row is cut: the last token of the first n, or of the shortest beginning of some weight,
// in the order of sampling (larger logits first, equal ones by id).
#pragma once

#include <span>

#include "infer/engine/sampler_passes.h"

namespace sis::engine {

inline bool before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// Both reorder `candidates` so that the taken ones come first and the last of them is the last in
// order; return how many. Time is linear.
size_t take_count(std::span<Candidate> candidates, size_t count);  // 1 .. size()
// The shortest beginning whose weights sum up to `weight` (at least one candidate, at most all).
size_t take_weight(std::span<Candidate> candidates, uint64_t weight);

}  // namespace sis::engine
