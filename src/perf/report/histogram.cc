#include "perf/report/histogram.h"

#include <algorithm>

namespace sis::perf {

void Histogram::merge(const Histogram& other) {
  if (other.count_ == 0) return;
  if (counts_.empty()) book();
  for (size_t i = other.first_used(); i < other.end_used(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  clamped_ += other.clamped_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
  square_sum_ += other.square_sum_;
}

void Histogram::reset() {
  for (size_t i = first_used(), end = end_used(); i < end; ++i) counts_[i] = 0;
  count_ = clamped_ = 0;
  min_ = ~uint64_t{0};
  max_ = 0;
  sum_ = square_sum_ = 0;
}

double Histogram::stdev_ms() const {
  if (count_ < 2) return 0;
  const double n = static_cast<double>(count_), mean = sum_ / n;
  return std::sqrt(std::max(0.0, (square_sum_ - n * mean * mean) / (n - 1))) * 1e-6;
}

double Histogram::quantile_ms(double q) const {
  if (count_ == 0) return 0;
  const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_));
  const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, count_);
  uint64_t seen = 0;
  for (size_t i = first_used(); i < end_used(); ++i) {
    seen += counts_[i];
    if (seen < rank) continue;
    const uint64_t middle = (lower_ns(i) + upper_ns(i)) / 2;
    // The clamped values sit in the last counter; only the maximum is known of them.
    if (clamped_ > 0 && i + 1 == counts_.size()) return static_cast<double>(max_) * 1e-6;
    return static_cast<double>(std::clamp(middle, min_, max_)) * 1e-6;
  }
  return static_cast<double>(max_) * 1e-6;
}

double Histogram::share_within(double ms) const {
  if (count_ == 0) return 0;
  uint64_t within = 0;
  const double ns = ms * 1e6;
  for (size_t i = first_used();
       i < end_used() && static_cast<double>(lower_ns(i) + upper_ns(i)) / 2 <= ns; ++i)
    within += counts_[i];
  return static_cast<double>(within) / static_cast<double>(count_);
}

double Histogram::counter_middle_ms(double ms) {
  const double units = std::clamp(ms * 1e6 / (1 << kUnitBits), 0.0, static_cast<double>(kUnitMax));
  const size_t index = index_of(static_cast<uint64_t>(units));
  return static_cast<double>((lower_ns(index) + upper_ns(index)) / 2) * 1e-6;
}

uint64_t Histogram::lower_ns(size_t index) {
  constexpr size_t kHalf = size_t{1} << kHalfBits;
  if (index < 2 * kHalf) return static_cast<uint64_t>(index) << kUnitBits;
  const size_t shift = (index >> kHalfBits) - 1;
  return (static_cast<uint64_t>(index - (shift << kHalfBits)) << shift) << kUnitBits;
}

uint64_t Histogram::upper_ns(size_t index) {
  constexpr size_t kHalf = size_t{1} << kHalfBits;
  const size_t shift = index < 2 * kHalf ? 0 : (index >> kHalfBits) - 1;
  return lower_ns(index) + (uint64_t{1} << (shift + kUnitBits)) - 1;
}

}  // namespace sis::perf
