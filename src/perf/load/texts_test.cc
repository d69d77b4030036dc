// Made-up lengths follow the distribution that was asked for.
#include "perf/load/texts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>

namespace sis::perf {
namespace {

constexpr int kDraws = 200'000;

// Means of 200,000 draws lie within five standard errors of the promised mean.
TEST(LengthSpec, SamplesHaveThePromisedMean) {
  for (const char* text : {"fixed:7", "10,20,60", "uniform:10:200", "normal:100:20",
                           "lognormal:180", "lognormal:50:0.3", "zipf:1:500", "zipf:16:64:1.5"}) {
    const auto spec = LengthSpec::parse(text);
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    Rng rng{42};
    double sum = 0, squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const auto words = static_cast<double>(spec->sample(rng));
      sum += words;
      squares += words * words;
    }
    const double mean = sum / kDraws, deviation = std::sqrt(squares / kDraws - mean * mean);
    EXPECT_NEAR(mean, spec->mean(), 5 * deviation / std::sqrt(kDraws) + 0.01) << text;
  }
}

TEST(LengthSpec, NormalHasItsDeviation) {
  const auto spec = LengthSpec::parse("normal:100:20");
  Rng rng{1};
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const auto words = static_cast<double>(spec->sample(rng));
    sum += words;
    squares += words * words;
  }
  const double mean = sum / kDraws;
  EXPECT_NEAR(std::sqrt(squares / kDraws - mean * mean), 20, 0.2);
}

// With S = 1 the first length comes twice as often as the second, ten times as often as the tenth.
TEST(LengthSpec, ZipfFallsWithItsRank) {
  const auto spec = LengthSpec::parse("zipf:5:100");
  Rng rng{3};
  std::map<int64_t, double> counts;
  for (int i = 0; i < kDraws; ++i) ++counts[spec->sample(rng)];
  EXPECT_EQ(counts.begin()->first, 5);
  EXPECT_NEAR(counts[5] / counts[6], 2, 0.1);
  EXPECT_NEAR(counts[5] / counts[14], 10, 0.7);
  EXPECT_LE(counts.rbegin()->first, 100);
}

TEST(LengthSpec, HistogramFilesGiveTheirShares) {
  const std::string path = testing::TempDir() + "texts_test_histogram";
  std::ofstream(path) << "# words count\n16 30\n128,60\n\n512\t10\n";
  const auto spec = LengthSpec::parse("file:" + path);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  Rng rng{3};
  std::map<int64_t, int> counts;
  for (int i = 0; i < kDraws; ++i) ++counts[spec->sample(rng)];
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_NEAR(counts[16], 0.3 * kDraws, 0.01 * kDraws);
  EXPECT_NEAR(counts[128], 0.6 * kDraws, 0.01 * kDraws);
  std::ofstream(path) << "16 30\n0 5\n";
  EXPECT_EQ(LengthSpec::parse("file:" + path).error().message,
            path + ": line 2: want 'WORDS COUNT' with words 1..100000, found '0 5'");
  std::ofstream(path) << "16 0\n";
  EXPECT_FALSE(LengthSpec::parse("file:" + path).ok());
  std::remove(path.c_str());
}

TEST(LengthSpec, WrongOnesAreRefused) {
  for (const char* text : {"", "0", "5,x", "uniform:9:1", "uniform", "normal:5", "normal:0:1",
                           "normal:5:-1", "lognormal:0", "lognormal:5:9", "zipf:5:1", "zipf:1:9:x",
                           "file:/no/such/file", "gauss:1:2"}) {
    const auto spec = LengthSpec::parse(text);
    EXPECT_FALSE(spec.ok()) << text;
  }
}

}  // namespace
}  // namespace sis::perf
