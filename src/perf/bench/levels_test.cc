#include "perf/bench/levels.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sis::perf {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Levels, ListsAndRanges) {
  const auto values = [](const char* text, bool whole = true) {
    const auto levels = parse_levels(text, 1, 1000, whole);
    EXPECT_TRUE(levels.ok()) << (levels.ok() ? "" : levels.error().message);
    return levels.ok() ? levels->values : std::vector<double>();
  };
  EXPECT_EQ(values("4"), (std::vector<double>{4}));
  EXPECT_EQ(values("1,2, 4"), (std::vector<double>{1, 2, 4}));
  EXPECT_EQ(values("1:4"), (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(values("1:16:5"), (std::vector<double>{1, 6, 11, 16}));
  EXPECT_EQ(values("1:15:5"), (std::vector<double>{1, 6, 11}));
  EXPECT_EQ(values("1:3,8,16"), (std::vector<double>{1, 2, 3, 8, 16}));
  EXPECT_EQ(values("2.5:4:0.5", false), (std::vector<double>{2.5, 3, 3.5, 4}));
  EXPECT_EQ(*parse_levels("2:9:3", 1, 10, true)->range_end, 9);
  EXPECT_FALSE(parse_levels("2,9", 1, 10, true)->range_end.has_value());
  for (const char* wrong : {"", "0", "1001", "1:", ":4", "4:1", "1:4:0", "1:4:-1", "1:2:3:4", "1.5",
                            "a", "1,,2", "1:4:0.5", "nan", "inf"})
    EXPECT_FALSE(parse_levels(wrong, 1, 1000, true).ok()) << wrong;
}

TEST(Stages, TimesAndTargets) {
  const auto profile = parse_stages("30s:20, 1m:20,10s:0", 100);
  ASSERT_TRUE(profile.ok()) << profile.error().message;
  EXPECT_EQ(profile->start, 0);
  EXPECT_EQ(profile->length(), seconds(100));
  EXPECT_EQ(profile->at(seconds(15)), 10);
  EXPECT_EQ(parse_stages("5,500ms:20", 100)->start, 5);
  for (const char* wrong : {"", "5", "30s", "30s:", "30s:x", "30s:-1", "30s:101", "x:5", "30s:5,7",
                            "10s:0", "0s:5", "400h:5"})
    EXPECT_FALSE(parse_stages(wrong, 100).ok()) << wrong;
}

TEST(TimeRanges, OneTimeOrTwo) {
  EXPECT_EQ(parse_time_range("1s")->low, seconds(1));
  EXPECT_EQ(parse_time_range("1s")->high, seconds(1));
  EXPECT_EQ(parse_time_range("0.5s-2s")->low, milliseconds(500));
  EXPECT_EQ(parse_time_range("0-2s")->high, seconds(2));
  for (const char* wrong : {"", "soon", "2s-1s", "1s-", "-1s", "1s-2s-3s", "25h"})
    EXPECT_FALSE(parse_time_range(wrong).ok()) << wrong;
}

TEST(Limits, PercentilesMeanAndMaximum) {
  EXPECT_EQ(parse_latency_limit("p99<500ms")->text(), "p99<500ms");
  EXPECT_EQ(parse_latency_limit("p99 < 500")->text(), "p99<500ms");
  EXPECT_DOUBLE_EQ(*parse_latency_limit("p99.9<1.5s")->quantile, 0.999);
  EXPECT_EQ(parse_latency_limit("avg<2s")->text(), "mean<2000ms");
  EXPECT_EQ(parse_latency_limit("max<2s")->quantile, 1);
  for (const char* wrong :
       {"", "p99", "p99>5", "p0<5", "p100<5", "px<5", "p99<", "p99<0", "p99<-1"})
    EXPECT_FALSE(parse_latency_limit(wrong).ok()) << wrong;
}

// Finds the highest level that keeps the limit within the step, with about log2 tries.
TEST(Search, FindsTheHighestLevelThatKeepsTheLimit) {
  for (const int highest : {0, 1, 2, 37, 100, 255, 256, 500}) {
    LevelSearch search(1, 256, 1, true);
    int tries = 0;
    while (const auto level = search.next()) {
      ASSERT_LT(++tries, 12);
      ASSERT_EQ(*level, std::floor(*level));
      search.note(*level, *level <= highest);
    }
    EXPECT_EQ(search.best().value_or(0), std::min(highest, 256));
  }
  LevelSearch rates(10, 1000, 5, false);
  while (const auto level = rates.next()) rates.note(*level, *level < 333.3);
  EXPECT_GT(*rates.best(), 333.3 - 5);
  EXPECT_LT(*rates.best(), 333.3);
}

}  // namespace
}  // namespace sis::perf
