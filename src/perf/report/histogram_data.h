// A histogram as a document holds it: what histogram_json() wrote, or another tool in its shape.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace sis::perf {

struct HistogramData {
  uint64_t count = 0;
  double min_ms = 0, max_ms = 0, mean_ms = 0, stdev_ms = 0;
  std::vector<std::pair<double, double>> quantiles;    // (share in 0..1, ms), rising
  std::vector<std::pair<double, uint64_t>> counts_ms;  // (upper end of a counter, count), rising

  bool empty() const { return count == 0; }
  // The value at or below which the share `q` lies: from the counts (the middle of the counter,
  // kept within the extremes), else one of the stored quantiles; nothing when neither has it.
  std::optional<double> quantile_ms(double q) const;
  // Share of values at or below `ms`; nothing without counts.
  std::optional<double> share_within(double ms) const;
  // Adds `other`. Quantiles are taken from the counts; where one side has none, they are lost.
  void merge(const HistogramData& other);
};

}  // namespace sis::perf
