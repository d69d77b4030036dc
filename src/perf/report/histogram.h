// Mergeable histogram of durations with a bounded relative error (the idea of HdrHistogram by Gil
// Tene).
//
// Counters are spaced linearly within each power of two, so that the width of a counter is never
// more than 1/1024 of its value: three significant digits. Below 131 us the width is 64 ns.
//
//   unit = ns / 64
//   unit < 2048:        index = unit
//   2048 <= unit:       shift = bits(unit) - 11,  index = shift * 1024 + (unit >> shift)
//
// Holds 64 ns to about an hour in 27 thousand counters (216 KB), booked by the first value and kept
// from then on, over reset() too; after it record() is a few instructions and never allocates.
// Longer values are counted at the end of the range and in clamped(). Minimum, maximum, mean and
// deviation are exact. One thread at a time.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace sis::perf {

class Histogram {
 public:
  void record(Duration value, uint64_t count = 1) {
    const int64_t ns = std::chrono::duration_cast<std::chrono::nanoseconds>(value).count();
    record_ns(ns < 0 ? 0 : static_cast<uint64_t>(ns), count);
  }
  void record_ns(uint64_t ns, uint64_t count = 1) {
    uint64_t unit = ns >> kUnitBits;
    if (unit > kUnitMax) [[unlikely]] {
      unit = kUnitMax;
      clamped_ += count;
    }
    if (counts_.empty()) [[unlikely]]
      book();
    counts_[index_of(unit)] += count;
    count_ += count;
    if (ns < min_) min_ = ns;
    if (ns > max_) max_ = ns;
    const double value = static_cast<double>(ns), weight = static_cast<double>(count);
    sum_ += value * weight;
    square_sum_ += value * value * weight;
  }

  void merge(const Histogram& other);
  void reset();

  uint64_t count() const { return count_; }
  uint64_t clamped() const { return clamped_; }  // over an hour
  bool empty() const { return count_ == 0; }
  double min_ms() const { return count_ == 0 ? 0 : static_cast<double>(min_) * 1e-6; }
  double max_ms() const { return count_ == 0 ? 0 : static_cast<double>(max_) * 1e-6; }
  double mean_ms() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_) * 1e-6; }
  double stdev_ms() const;  // of the sample

  // The value at or below which the share `q` of all values lies: the one of rank ceil(q * n), q in
  // 0..1. Middle of its counter, kept within [min, max]; 0 when empty.
  double quantile_ms(double q) const;
  // Share of values at or below `ms`.
  double share_within(double ms) const;
  // The middle of the counter that holds `ms`: what quantile_ms() says for values there.
  static double counter_middle_ms(double ms);

  // fn(double upper_ms, uint64_t count) for every counter in use, rising.
  template <class Fn>
  void for_each(Fn&& fn) const {
    for (size_t i = first_used(); i < end_used(); ++i)
      if (counts_[i] != 0) fn(static_cast<double>(upper_ns(i)) * 1e-6, counts_[i]);
  }

 private:
  static constexpr int kUnitBits = 6;   // 64 ns
  static constexpr int kHalfBits = 10;  // counters per power of two: 1024
  static constexpr int kFirstBits = kHalfBits + 1;
  static constexpr int kShiftMax = 25;  // 2^36 units * 64 ns = 4398 s
  static constexpr uint64_t kUnitMax = (uint64_t{1} << (kFirstBits + kShiftMax)) - 1;

  static size_t index_of(uint64_t unit) {
    const int bits = static_cast<int>(std::bit_width(unit));
    const int shift = bits > kFirstBits ? bits - kFirstBits : 0;
    return (static_cast<size_t>(shift) << kHalfBits) + static_cast<size_t>(unit >> shift);
  }
  void book() { counts_.resize(index_of(kUnitMax) + 1, 0); }
  // The counters in use lie in [first_used, end_used).
  size_t first_used() const { return count_ == 0 ? 0 : index_of(unit_of(min_)); }
  size_t end_used() const { return count_ == 0 ? 0 : index_of(unit_of(max_)) + 1; }
  static uint64_t unit_of(uint64_t ns) { return std::min(ns >> kUnitBits, kUnitMax); }
  static uint64_t lower_ns(size_t index);
  static uint64_t upper_ns(size_t index);

  std::vector<uint64_t> counts_;
  uint64_t count_ = 0, clamped_ = 0;
  uint64_t min_ = ~uint64_t{0}, max_ = 0;
  double sum_ = 0, square_sum_ = 0;
};

}  // namespace sis::perf
