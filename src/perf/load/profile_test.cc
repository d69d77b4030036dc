#include "perf/load/profile.h"

#include <gtest/gtest.h>

namespace sis::perf {
namespace {

TEST(Profile, RisesHoldsAndFallsInStraightLines) {
  const Profile profile{
      .start = 0,
      .stages = {
          {from_seconds(10), 20}, {from_seconds(5), 20}, {Duration{}, 4}, {from_seconds(2), 0}}};
  EXPECT_EQ(profile.length(), from_seconds(17));
  EXPECT_EQ(profile.highest(), 20);
  EXPECT_DOUBLE_EQ(profile.at(Duration{}), 0);
  EXPECT_DOUBLE_EQ(profile.at(from_seconds(5)), 10);
  EXPECT_DOUBLE_EQ(profile.at(from_seconds(12)), 20);
  EXPECT_DOUBLE_EQ(profile.at(from_seconds(15)), 4);  // the stage of no length has passed
  EXPECT_DOUBLE_EQ(profile.at(from_seconds(16)), 2);
  EXPECT_DOUBLE_EQ(profile.at(from_seconds(100)), 0);
}

TEST(Profile, SumIsTheAreaUnderTheLevel) {
  const Profile profile{.start = 10, .stages = {{from_seconds(10), 30}, {from_seconds(4), 30}}};
  EXPECT_DOUBLE_EQ(profile.sum_until(Duration{}), 0);
  EXPECT_DOUBLE_EQ(profile.sum_until(from_seconds(5)), (10 + 20) / 2.0 * 5);
  EXPECT_DOUBLE_EQ(profile.sum_until(from_seconds(10)), 200);
  EXPECT_DOUBLE_EQ(profile.sum_until(from_seconds(12)), 260);
  EXPECT_DOUBLE_EQ(profile.sum_until(from_seconds(20)), 200 + 30 * 10);
}

}  // namespace
}  // namespace sis::perf
