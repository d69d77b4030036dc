#include "perf/triton/stability.h"

#include <algorithm>
#include <cmath>

namespace sis::perf {

bool is_stable(std::span<const WindowFigures> windows, double threshold, bool with_latency) {
  if (windows.size() < kStableWindows) return false;
  const auto last = windows.last(kStableWindows);
  const auto within = [&](double WindowFigures::*field) {
    const auto [low, high] =
        std::minmax_element(last.begin(), last.end(),
                            [&](const auto& a, const auto& b) { return a.*field < b.*field; });
    return (*low).*field > 0 && (*high).*field / ((*low).*field) <= 1 + threshold;
  };
  return within(&WindowFigures::per_s) && (!with_latency || within(&WindowFigures::latency_ms));
}

bool is_over(std::span<const WindowFigures> windows, double limit_ms) {
  if (limit_ms <= 0 || windows.size() < kStableWindows) return false;
  const auto last = windows.last(kStableWindows);
  return std::all_of(last.begin(), last.end(),
                     [&](const auto& window) { return window.latency_ms >= limit_ms; });
}

double indexed_percentile_ms(const Histogram& histogram, int64_t percentile) {
  if (histogram.empty()) return 0;
  const double n = static_cast<double>(histogram.count());
  const double index = std::floor(static_cast<double>(percentile) / 100 * (n - 1) + 0.5);
  return histogram.quantile_ms((index + 0.5) / n);
}

}  // namespace sis::perf
