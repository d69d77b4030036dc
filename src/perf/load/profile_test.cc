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

// The inverse gives each request of a changing rate its due time: the sum up to there is its
// number.
TEST(ProfileInverse, IsTheInverseOfTheSum) {
  const Profile profile{.start = 0,
                        .stages = {{from_seconds(10), 20},
                                   {from_seconds(5), 20},
                                   {Duration{}, 4},
                                   {from_seconds(2), 0},
                                   {from_seconds(3), 0},
                                   {from_seconds(1), 8}}};
  ProfileInverse inverse(profile);
  Duration last{};
  for (double sum = 0; sum < 208; sum += 0.25) {
    const Duration at = inverse.at(sum);
    EXPECT_GE(at, last);
    EXPECT_NEAR(profile.sum_until(at), sum, 1e-6) << sum;
    last = at;
  }
  // What came before the pause is due before it, the next one after it.
  ProfileInverse again(profile);
  EXPECT_NEAR(to_seconds(again.at(203.999)), 17, 0.1);
  EXPECT_NEAR(to_seconds(again.at(204)), 20, 1e-6);
  EXPECT_NEAR(to_seconds(again.at(208 + 80)), 31, 1e-6);  // the last level goes on
}

TEST(ProfileInverse, NothingComesAfterALastLevelOfZero) {
  ProfileInverse inverse(Profile{.start = 10, .stages = {{from_seconds(2), 0}}});
  EXPECT_NEAR(to_seconds(inverse.at(9.999)), 2, 0.03);
  EXPECT_EQ(inverse.at(10), kNever);
}

}  // namespace
}  // namespace sis::perf
