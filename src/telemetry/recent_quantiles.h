// Quantiles over the last `samples_max` observations, for gauges named ..._p95.
//
// Observing is one fetch_add and one store; reading copies and sorts the window. A reader may see
// an observation that is being replaced as either of the two. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace sis::telemetry {

class RecentQuantiles {
 public:
  explicit RecentQuantiles(uint32_t samples_max);
  void observe(double value) {
    const uint64_t at = next_.fetch_add(1, std::memory_order_relaxed);
    ring_[at % size_].store(static_cast<float>(value), std::memory_order_relaxed);
  }
  // One value per fraction in [0, 1], by nearest rank; zeros while nothing was observed.
  std::vector<double> quantiles(const std::vector<double>& fractions) const;

 private:
  const uint32_t size_;
  std::unique_ptr<std::atomic<float>[]> ring_;
  alignas(64) std::atomic<uint64_t> next_{0};
};

}  // namespace sis::telemetry
