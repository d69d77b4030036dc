#include "infer/engine/sampler_select.h"

#include <algorithm>

namespace sis::engine {

size_t take_count(std::span<Candidate> candidates, size_t count) {
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(count - 1),
                   candidates.end(), before);
  return count;
}

size_t take_weight(std::span<Candidate> candidates, uint64_t weight) {
  // Halves the part [begin, end) that holds the cut; what lies before it is taken.
  size_t begin = 0, end = candidates.size();
  uint64_t taken = 0;
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    const auto part = candidates.subspan(begin, end - begin);
    std::nth_element(part.begin(), part.begin() + static_cast<ptrdiff_t>(middle - 1 - begin),
                     part.end(), before);
    uint64_t first_half = 0;
    for (size_t i = begin; i < middle; ++i)
      first_half += static_cast<uint32_t>(candidates[i].weight);
    if (taken + first_half >= weight) {
      end = middle;
    } else {
      taken += first_half;
      begin = middle;
    }
  }
  return end;
}

}  // namespace sis::engine
