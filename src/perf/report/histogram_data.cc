#include "perf/report/histogram_data.h"

#include <algorithm>
#include <cmath>

#include "perf/report/histogram.h"

namespace sis::perf {

std::optional<double> HistogramData::quantile_ms(double q) const {
  if (count == 0) return std::nullopt;
  if (!counts_ms.empty()) {
    const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count));
    double seen = 0;
    for (const auto& [upper, in_counter] : counts_ms) {
      seen += static_cast<double>(in_counter);
      if (seen >= std::max(wanted, 1.0))
        return std::clamp(Histogram::counter_middle_ms(upper), min_ms, std::max(min_ms, max_ms));
    }
    return max_ms;
  }
  for (const auto& [share, ms] : quantiles)
    if (std::fabs(share - q) < 1e-9) return ms;
  if (q <= 0) return min_ms;
  if (q >= 1) return max_ms;
  return std::nullopt;
}

std::optional<double> HistogramData::share_within(double ms) const {
  if (count == 0 || counts_ms.empty()) return std::nullopt;
  double within = 0;
  for (const auto& [upper, in_counter] : counts_ms)
    if (Histogram::counter_middle_ms(upper) <= ms) within += static_cast<double>(in_counter);
  return within / static_cast<double>(count);
}

void HistogramData::merge(const HistogramData& other) {
  if (other.empty()) return;
  if (empty()) {
    *this = other;
    return;
  }
  const double n = static_cast<double>(count), m = static_cast<double>(other.count);
  const double mean = (mean_ms * n + other.mean_ms * m) / (n + m);
  // Sums of squares about the common mean.
  const auto about = [&](const HistogramData& part, double size) {
    return part.stdev_ms * part.stdev_ms * (size - 1) +
           size * (part.mean_ms - mean) * (part.mean_ms - mean);
  };
  stdev_ms = std::sqrt(std::max(0.0, (about(*this, n) + about(other, m)) / (n + m - 1)));
  mean_ms = mean;
  min_ms = std::min(min_ms, other.min_ms);
  max_ms = std::max(max_ms, other.max_ms);
  quantiles.clear();
  if (counts_ms.empty() || other.counts_ms.empty()) {
    counts_ms.clear();
  } else {
    std::vector<std::pair<double, uint64_t>> both;
    both.reserve(counts_ms.size() + other.counts_ms.size());
    std::merge(counts_ms.begin(), counts_ms.end(), other.counts_ms.begin(), other.counts_ms.end(),
               std::back_inserter(both));
    counts_ms.clear();
    for (const auto& [upper, in_counter] : both)
      if (!counts_ms.empty() && counts_ms.back().first == upper)
        counts_ms.back().second += in_counter;
      else
        counts_ms.emplace_back(upper, in_counter);
  }
  count += other.count;
}

}  // namespace sis::perf
