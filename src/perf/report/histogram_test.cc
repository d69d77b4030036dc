#include "perf/report/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/rng.h"

namespace sis::perf {
namespace {

constexpr double kQuantiles[] = {0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0};

// Rank ceil(q n) of the sorted values, in ms.
double exact_quantile_ms(const std::vector<uint64_t>& sorted, double q) {
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(sorted.size())));
  return static_cast<double>(sorted[std::max<size_t>(rank, 1) - 1]) * 1e-6;
}

std::vector<uint64_t> random_values(uint64_t seed, int count, double median_ns, double sigma) {
  Rng rng(seed);
  std::vector<uint64_t> values;
  for (int i = 0; i < count; ++i)
    values.push_back(static_cast<uint64_t>(median_ns * std::exp(sigma * rng.normal())));
  return values;
}

// Quantiles agree with those of the sorted values to three digits (and never worse than one 64 ns
// counter), from microseconds to minutes.
TEST(Histogram, QuantilesMatchSortedValues) {
  for (const double median_ns : {2e3, 2e5, 2e7, 2e10}) {
    for (const double sigma : {0.1, 1.0}) {
      auto values = random_values(42, 20000, median_ns, sigma);
      Histogram histogram;
      for (const uint64_t v : values) histogram.record_ns(v);
      std::sort(values.begin(), values.end());
      for (const double q : kQuantiles) {
        const double want = exact_quantile_ms(values, q);
        EXPECT_NEAR(histogram.quantile_ms(q), want, std::max(64e-6, want * 1e-3))
            << "median " << median_ns << " sigma " << sigma << " q " << q;
      }
    }
  }
}

TEST(Histogram, MinMaxMeanAndDeviationAreExact) {
  Histogram histogram;
  for (const uint64_t ns : {1'000'000u, 2'000'000u, 3'000'000u, 6'000'000u})
    histogram.record_ns(ns);
  EXPECT_DOUBLE_EQ(histogram.min_ms(), 1);
  EXPECT_DOUBLE_EQ(histogram.max_ms(), 6);
  EXPECT_DOUBLE_EQ(histogram.mean_ms(), 3);
  EXPECT_NEAR(histogram.stdev_ms(), std::sqrt(14.0 / 3.0), 1e-9);
}

// Parts recorded apart and merged give the same answers as all in one.
TEST(Histogram, MergeEqualsRecordingTogether) {
  const auto values = random_values(7, 9000, 3e5, 1.2);
  Histogram together, merged;
  Histogram parts[3];
  for (size_t i = 0; i < values.size(); ++i) {
    together.record_ns(values[i]);
    parts[i % 3].record_ns(values[i]);
  }
  for (const auto& part : parts) merged.merge(part);
  merged.merge(Histogram());  // an empty part changes nothing
  EXPECT_EQ(merged.count(), together.count());
  for (const double q : kQuantiles)
    EXPECT_DOUBLE_EQ(merged.quantile_ms(q), together.quantile_ms(q));
  EXPECT_DOUBLE_EQ(merged.min_ms(), together.min_ms());
  EXPECT_NEAR(merged.mean_ms(), together.mean_ms(), 1e-9);
}

TEST(Histogram, EveryCounterBoundaryKeepsItsValueWithinThreeDigits) {
  for (int bit = 0; bit < 42; ++bit) {
    for (const int64_t delta : {-1, 0, 1}) {
      const int64_t ns = (int64_t{1} << bit) + delta;
      if (ns < 0 || ns > 3'600'000'000'000) continue;
      Histogram histogram;
      histogram.record_ns(static_cast<uint64_t>(ns), 2);
      histogram.record_ns(0);  // so that clamping to [min, max] cannot hide an error
      histogram.record_ns(3'600'000'000'000);  // an hour
      const double want = static_cast<double>(ns) * 1e-6;
      EXPECT_NEAR(histogram.quantile_ms(0.75), want, std::max(64e-6, want * 1e-3)) << ns;
    }
  }
}

TEST(Histogram, ValuesOverTheRangeAreCountedAndKeepTheMaximum) {
  Histogram histogram;
  histogram.record(from_seconds(1));
  histogram.record(from_seconds(3 * 3600));
  EXPECT_EQ(histogram.clamped(), 1u);
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_NEAR(histogram.quantile_ms(1.0), 3 * 3600e3, 1);
}

TEST(Histogram, EmptyIsZeroAndResetEmpties) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile_ms(0.5), 0);
  EXPECT_EQ(histogram.mean_ms(), 0);
  histogram.record_ns(5000);
  histogram.reset();
  EXPECT_TRUE(histogram.empty());
  EXPECT_EQ(histogram.max_ms(), 0);
  histogram.record_ns(1'000'000);
  EXPECT_DOUBLE_EQ(histogram.quantile_ms(0.5), 1);
}

TEST(Histogram, CountsOfForEachAddUpAndShareFollows) {
  const auto values = random_values(3, 5000, 1e6, 0.5);
  Histogram histogram;
  for (const uint64_t v : values) histogram.record_ns(v);
  uint64_t sum = 0;
  double last = -1;
  histogram.for_each([&](double upper_ms, uint64_t count) {
    EXPECT_GT(upper_ms, last);
    last = upper_ms;
    sum += count;
  });
  EXPECT_EQ(sum, values.size());
  const auto within =
      std::count_if(values.begin(), values.end(), [](uint64_t v) { return v <= 1'000'000; });
  EXPECT_NEAR(histogram.share_within(1.0), static_cast<double>(within) / 5000, 0.005);
}

}  // namespace
}  // namespace sis::perf
