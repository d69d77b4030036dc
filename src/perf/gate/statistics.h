// The statistics behind the gate, for a few dozen values on each side. Pure; everything random
// comes from the given generator.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.h"

namespace sis::perf {

double median(std::span<const double> values);  // 0 of nothing

// Probability, if both samples come from one distribution, of `high` ranking at least so far above
// `low` as it does (one-sided Mann-Whitney U test; Mann & Whitney 1947). Ties share their mean
// rank. Exact over all ways to split the pooled values while there are at most kExactMax of them,
// normal approximation with tie and continuity corrections beyond. 1 when a side is empty.
inline constexpr size_t kExactMax = 80;
double rank_test(std::span<const double> low, std::span<const double> high);

// The smallest p that rank_test() can give for so many values: 1 / C(low + high, low).
double smallest_p(size_t low, size_t high);

// Holm's step-down adjustment (Holm 1979): p values that may be compared with the level wanted for
// all tests together. Same order as `p`.
std::vector<double> holm(std::span<const double> p);

struct Interval {
  double low = 0, high = 0;
};

// How resampling draws: values one by one, or stretches of `block` neighbours (circular moving
// blocks; Politis & Romano 1992), which keeps what neighbours have in common.
struct Resampling {
  int draws = 4000;
  double confidence = 0.95;
  size_t block = 1;
};

// Percentile bootstrap interval (Efron 1979) of median(candidate) / median(baseline), sides
// resampled independently. Both sides want values above 0.
Interval ratio_interval(std::span<const double> baseline, std::span<const double> candidate,
                        const Resampling& how, Rng& rng);
// The same of mean(candidate) - mean(baseline).
Interval difference_interval(std::span<const double> baseline, std::span<const double> candidate,
                             const Resampling& how, Rng& rng);

// How many neighbours tell about one another: 1 + 2 * sum of autocorrelations until the first that
// is not above its noise (2 / sqrt(n)); at least 1, at most a quarter of the values.
size_t correlated_length(std::span<const double> series);

}  // namespace sis::perf
