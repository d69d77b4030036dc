#include "perf/gate/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace sis::perf {
namespace {

double mean_of(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double median_in_place(std::vector<double>& values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

// Twice the ranks (1, 2, ...) of the pooled values, so that shared ranks stay whole; low's first.
struct Ranks {
  std::vector<uint32_t> twice;
  double tie_sum = 0;  // of t^3 - t over groups of t equal values
};

Ranks ranks_of(std::span<const double> low, std::span<const double> high) {
  const size_t n = low.size() + high.size();
  const auto value = [&](size_t i) { return i < low.size() ? low[i] : high[i - low.size()]; };
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return value(a) < value(b); });
  Ranks out{.twice = std::vector<uint32_t>(n)};
  for (size_t begin = 0; begin < n;) {
    size_t end = begin + 1;
    while (end < n && value(order[end]) == value(order[begin])) ++end;
    for (size_t i = begin; i < end; ++i)
      out.twice[order[i]] = static_cast<uint32_t>(begin + 1 + end);
    const auto ties = static_cast<double>(end - begin);
    out.tie_sum += ties * ties * ties - ties;
    begin = end;
  }
  return out;
}

// Share of all choices of `count` of the ranks whose sum is at least `sum`: counts choices by size
// and sum, one rank after the other. Doubles are exact enough: C(80, 40) is 1e23, and only the
// ratio of two such sums of positive terms is wanted.
double share_of_choices(const std::vector<uint32_t>& ranks, size_t count, uint64_t sum) {
  const uint64_t total = std::accumulate(ranks.begin(), ranks.end(), uint64_t{0});
  std::vector<std::vector<double>> ways(count + 1, std::vector<double>(total + 1, 0.0));
  ways[0][0] = 1;
  uint64_t so_far = 0;
  size_t taken = 0;
  for (const uint32_t rank : ranks) {
    so_far += rank;
    ++taken;
    for (size_t k = std::min(count, taken); k >= 1; --k)
      for (uint64_t s = so_far; s >= rank; --s) ways[k][s] += ways[k - 1][s - rank];
  }
  double all = 0, above = 0;
  for (uint64_t s = 0; s <= total; ++s) {
    all += ways[count][s];
    if (s >= sum) above += ways[count][s];
  }
  return above / all;
}

template <class Statistic>
Interval bootstrap(std::span<const double> baseline, std::span<const double> candidate,
                   const Resampling& how, Rng& rng, Statistic statistic) {
  std::vector<double> values, of_baseline, of_candidate;
  const auto draw = [&](std::span<const double> from, std::vector<double>& to) {
    to.clear();
    const size_t n = from.size(), block = std::clamp<size_t>(how.block, 1, n);
    while (to.size() < n) {
      const size_t begin = rng.below(n);
      for (size_t i = 0; i < block && to.size() < n; ++i) to.push_back(from[(begin + i) % n]);
    }
  };
  if (baseline.empty() || candidate.empty() || how.draws < 1) return {};
  values.reserve(static_cast<size_t>(how.draws));
  for (int i = 0; i < how.draws; ++i) {
    draw(baseline, of_baseline);
    draw(candidate, of_candidate);
    values.push_back(statistic(of_baseline, of_candidate));
  }
  std::sort(values.begin(), values.end());
  const double tail = (1 - how.confidence) / 2, last = static_cast<double>(values.size() - 1);
  return {values[static_cast<size_t>(std::floor(tail * last))],
          values[static_cast<size_t>(std::ceil((1 - tail) * last))]};
}

}  // namespace

double median(std::span<const double> values) {
  std::vector<double> copy(values.begin(), values.end());
  return median_in_place(copy);
}

double rank_test(std::span<const double> low, std::span<const double> high) {
  if (low.empty() || high.empty()) return 1;
  const Ranks ranks = ranks_of(low, high);
  uint64_t twice_sum = 0;
  for (size_t i = 0; i < high.size(); ++i) twice_sum += ranks.twice[low.size() + i];
  if (ranks.twice.size() <= kExactMax) return share_of_choices(ranks.twice, high.size(), twice_sum);

  const auto n = static_cast<double>(low.size()), m = static_cast<double>(high.size());
  const double u = static_cast<double>(twice_sum) / 2 - m * (m + 1) / 2;
  const double variance = n * m / 12 * ((n + m + 1) - ranks.tie_sum / ((n + m) * (n + m - 1)));
  if (variance <= 0) return 1;  // all values are equal
  const double z = (u - n * m / 2 - 0.5) / std::sqrt(variance);
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

double smallest_p(size_t low, size_t high) {
  if (low == 0 || high == 0) return 1;
  double choices = 1;
  for (size_t i = 1; i <= std::min(low, high); ++i)
    choices *= static_cast<double>(std::max(low, high) + i) / static_cast<double>(i);
  return 1 / choices;
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> out(p.size());
  double highest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    highest = std::max(highest, p[order[i]] * static_cast<double>(p.size() - i));
    out[order[i]] = std::min(1.0, highest);
  }
  return out;
}

Interval ratio_interval(std::span<const double> baseline, std::span<const double> candidate,
                        const Resampling& how, Rng& rng) {
  return bootstrap(baseline, candidate, how, rng,
                   [](std::vector<double>& from, std::vector<double>& to) {
                     const double divisor = median_in_place(from);
                     return divisor > 0 ? median_in_place(to) / divisor : 1.0;
                   });
}

Interval difference_interval(std::span<const double> baseline, std::span<const double> candidate,
                             const Resampling& how, Rng& rng) {
  return bootstrap(baseline, candidate, how, rng,
                   [](std::vector<double>& from, std::vector<double>& to) {
                     return mean_of(to) - mean_of(from);
                   });
}

size_t correlated_length(std::span<const double> series) {
  const size_t n = series.size();
  if (n < 8) return 1;
  const double mean = mean_of(series);
  double variance = 0;
  for (const double value : series) variance += (value - mean) * (value - mean);
  if (variance <= 0) return 1;
  const double noise = 2 / std::sqrt(static_cast<double>(n));
  double sum = 0;
  for (size_t lag = 1; lag < n / 4; ++lag) {
    double covariance = 0;
    for (size_t i = 0; i + lag < n; ++i)
      covariance += (series[i] - mean) * (series[i + lag] - mean);
    const double correlation = covariance / variance;
    if (correlation <= noise) break;
    sum += correlation;
  }
  const auto length = static_cast<size_t>(std::ceil(1 + 2 * sum));
  return std::clamp<size_t>(length, 1, std::max<size_t>(1, n / 4));
}

}  // namespace sis::perf
