#include "telemetry/recent_quantiles.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace sis::telemetry {

RecentQuantiles::RecentQuantiles(uint32_t samples_max)
    : size_(samples_max), ring_(std::make_unique<std::atomic<float>[]>(samples_max)) {
  SIS_CHECK(samples_max > 0, "samples_max=", samples_max);
}

std::vector<double> RecentQuantiles::quantiles(const std::vector<double>& fractions) const {
  const uint64_t count = std::min<uint64_t>(next_.load(std::memory_order_relaxed), size_);
  std::vector<double> out(fractions.size(), 0.0);
  if (count == 0) return out;
  std::vector<float> window(count);
  for (uint64_t i = 0; i < count; ++i) window[i] = ring_[i].load(std::memory_order_relaxed);
  std::sort(window.begin(), window.end());
  for (size_t i = 0; i < fractions.size(); ++i) {
    const auto rank =
        static_cast<int64_t>(std::ceil(fractions[i] * static_cast<double>(count))) - 1;
    out[i] = window[std::clamp<int64_t>(rank, 0, static_cast<int64_t>(count) - 1)];
  }
  return out;
}

}  // namespace sis::telemetry
