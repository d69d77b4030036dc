// The gate's statistics against values worked out otherwise: small cases by hand and by listing all
// splits, larger ones against scipy 1.17, coverage and error rates by repetition with fixed seeds.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "perf/gate/statistics.h"

namespace sis::perf {
namespace {

using Values = std::vector<double>;

TEST(Statistics, Median) {
  EXPECT_EQ(median(Values{}), 0);
  EXPECT_EQ(median(Values{3}), 3);
  EXPECT_EQ(median(Values{3, 1}), 2);
  EXPECT_EQ(median(Values{5, 1, 3}), 3);
  EXPECT_EQ(median(Values{4, 1, 3, 2}), 2.5);
}

// U computed by comparing pairs, p by trying every split of the pooled values.
double listed_p(const Values& low, const Values& high) {
  Values all = low;
  all.insert(all.end(), high.begin(), high.end());
  const auto u = [&](uint32_t chosen) {
    double sum = 0;
    for (size_t i = 0; i < all.size(); ++i)
      for (size_t j = 0; j < all.size(); ++j)
        if ((chosen >> i & 1) == 1 && (chosen >> j & 1) == 0)
          sum += all[i] > all[j] ? 1 : all[i] == all[j] ? 0.5 : 0;
    return sum;
  };
  uint32_t observed = 0;
  for (size_t i = low.size(); i < all.size(); ++i) observed |= uint32_t{1} << i;
  const double wanted = u(observed);
  double splits = 0, above = 0;
  for (uint32_t chosen = 0; chosen < uint32_t{1} << all.size(); ++chosen) {
    if (static_cast<size_t>(std::popcount(chosen)) != high.size()) continue;
    ++splits;
    above += u(chosen) >= wanted ? 1 : 0;
  }
  return above / splits;
}

TEST(RankTest, IsExactWithAndWithoutTies) {
  Rng rng(7);
  for (int trial = 0; trial < 60; ++trial) {
    Values low(1 + rng.below(5)), high(1 + rng.below(5));
    const uint64_t kinds = trial % 2 == 0 ? 1000 : 4;  // few kinds: many ties
    for (double& value : low) value = static_cast<double>(rng.below(kinds));
    for (double& value : high) value = static_cast<double>(rng.below(kinds)) + trial % 3;
    EXPECT_NEAR(rank_test(low, high), listed_p(low, high), 1e-12) << "trial " << trial;
  }
  EXPECT_NEAR(rank_test(Values{1, 2, 3, 4, 5}, Values{6, 7, 8, 9, 10}), 1.0 / 252, 1e-12);
  EXPECT_NEAR(smallest_p(5, 5), 1.0 / 252, 1e-15);
  EXPECT_NEAR(smallest_p(3, 20), 1.0 / 1771, 1e-15);
  EXPECT_EQ(rank_test(Values{}, Values{1}), 1);
  EXPECT_EQ(rank_test(Values{2, 2}, Values{2, 2}), 1);
}

// 50 values a side: 0, 1, ... against the same + 7.5, and the same with ties;
// scipy.stats.mannwhitneyu(high, low, alternative='greater', method='asymptotic').
TEST(RankTest, NormalApproximationBeyond) {
  Values low, high, low_tied, high_tied;
  for (int i = 0; i < 50; ++i) {
    low.push_back(i);
    high.push_back(i + 7.5);
    low_tied.push_back(i / 10);
    high_tied.push_back((i + 6) / 10);
  }
  EXPECT_NEAR(rank_test(low, high), 0.008453853751595578, 1e-9);
  EXPECT_NEAR(rank_test(low_tied, high_tied), 0.029302640941328076, 1e-9);
}

TEST(RankTest, RejectsAsOftenAsItShould) {
  constexpr uint64_t kSeed = 11;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  int rejected = 0;
  constexpr int kTrials = 4000;
  for (int trial = 0; trial < kTrials; ++trial) {
    Values low(10), high(10);
    for (double& value : low) value = rng.normal();
    for (double& value : high) value = rng.normal();
    rejected += rank_test(low, high) <= 0.05 ? 1 : 0;
  }
  EXPECT_LE(rejected, kTrials * 0.05 + 3 * std::sqrt(kTrials * 0.05));
  EXPECT_GE(rejected, kTrials * 0.03);  // exact p values come in steps
}

TEST(Holm, AdjustsStepByStep) {
  const auto p = holm(Values{0.01, 0.04, 0.03, 0.005});
  EXPECT_NEAR(p[0], 0.03, 1e-12);
  EXPECT_NEAR(p[1], 0.06, 1e-12);
  EXPECT_NEAR(p[2], 0.06, 1e-12);
  EXPECT_NEAR(p[3], 0.02, 1e-12);
  EXPECT_EQ(holm(Values{0.9, 0.8}), (Values{1, 1}));
  EXPECT_TRUE(holm(Values{}).empty());
}

// An interval of 95 % holds the true ratio about 95 times of 100.
TEST(Bootstrap, CoversTheTrueRatio) {
  Rng rng(5);
  int covered = 0;
  constexpr int kTrials = 400;
  for (int trial = 0; trial < kTrials; ++trial) {
    Values baseline(15), candidate(15);
    for (double& value : baseline) value = std::exp(0.03 * rng.normal());
    for (double& value : candidate) value = 1.1 * std::exp(0.03 * rng.normal());
    const Interval got = ratio_interval(baseline, candidate, {.draws = 500}, rng);
    covered += got.low <= 1.1 && 1.1 <= got.high ? 1 : 0;
  }
  EXPECT_GE(covered, kTrials * 0.91);
  EXPECT_LE(covered, kTrials * 0.995);
}

// Neighbours that resemble each other: single draws promise too narrow an interval, blocks do not.
TEST(Bootstrap, BlocksKeepWhatNeighboursShare) {
  Rng rng(6);
  int single = 0, blocks = 0;
  constexpr int kTrials = 200;
  const auto series = [&] {
    Values values(80);
    double state = rng.normal() * 0.1;
    for (double& value : values) {
      state = 0.8 * state + 0.06 * rng.normal();
      value = std::exp(state);
    }
    return values;
  };
  for (int trial = 0; trial < kTrials; ++trial) {
    const Values baseline = series(), candidate = series();
    const auto holds = [&](size_t block) {
      const Interval got = ratio_interval(baseline, candidate, {.draws = 300, .block = block}, rng);
      return got.low <= 1 && 1 <= got.high ? 1 : 0;
    };
    single += holds(1);
    blocks += holds(correlated_length(baseline));
  }
  EXPECT_LT(single, kTrials * 0.75);
  EXPECT_GT(blocks, kTrials * 0.82);
  EXPECT_GT(blocks, single + kTrials / 10);
}

TEST(Bootstrap, Differences) {
  Rng rng(8);
  const Values zeros(10, 0.0), some(10, 0.02);
  const Interval got = difference_interval(zeros, some, {}, rng);
  EXPECT_NEAR(got.low, 0.02, 1e-12);
  EXPECT_NEAR(got.high, 0.02, 1e-12);
}

TEST(CorrelatedLength, GrowsWithMemory) {
  Rng rng(9);
  Values white(400), red(400);
  double state = 0;
  for (size_t i = 0; i < white.size(); ++i) {
    white[i] = rng.normal();
    state = 0.9 * state + rng.normal();
    red[i] = state;
  }
  EXPECT_LE(correlated_length(white), 3u);
  EXPECT_GE(correlated_length(red), 8u);
  EXPECT_EQ(correlated_length(Values(100, 1.0)), 1u);
  EXPECT_EQ(correlated_length(Values{1, 2}), 1u);
}

}  // namespace
}  // namespace sis::perf
