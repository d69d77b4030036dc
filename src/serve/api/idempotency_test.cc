#include "serve/api/idempotency.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sis::api {
namespace {

using State = IdempotencyMap::State;

Sha256 named(int number) { return sha256_of({concat(number)}); }

TEST(Sha256, FramesItsParts) {
  EXPECT_EQ(sha256_of({"a", "b"}), sha256_of({"a", "b"}));
  EXPECT_NE(sha256_of({"a", "b"}), sha256_of({"ab", ""}));
  EXPECT_NE(sha256_of({"ab"}), sha256_of({"ab", ""}));
}

TEST(IdempotencyMap, AnswersAgainAndTellsBodiesApart) {
  ManualClock clock;
  IdempotencyMap map({.ttl = std::chrono::seconds(10)}, clock);
  auto first = map.begin(named(1), named(100));
  ASSERT_EQ(first.state, State::kNew);
  EXPECT_EQ(map.begin(named(1), named(100)).state, State::kRunning);
  EXPECT_EQ(map.begin(named(1), named(101)).state, State::kOtherBody);
  EXPECT_EQ(map.begin(named(2), named(100)).state, State::kNew);
  first.lease.publish("answer");
  const auto again = map.begin(named(1), named(100));
  ASSERT_EQ(again.state, State::kAnswered);
  EXPECT_EQ(*again.answer, "answer");
  EXPECT_EQ(map.begin(named(1), named(101)).state, State::kOtherBody);
  clock.advance(std::chrono::seconds(10));
  EXPECT_EQ(map.begin(named(1), named(101)).state, State::kNew);
  EXPECT_EQ(*again.answer, "answer");  // whoever sends it keeps it
}

TEST(IdempotencyMap, ALeaseThatIsDroppedFreesItsKey) {
  ManualClock clock;
  IdempotencyMap map({}, clock);
  {
    auto begun = map.begin(named(1), named(100));
    auto moved = std::move(begun.lease);
    begun.lease = {};
    EXPECT_EQ(map.begin(named(1), named(100)).state, State::kRunning);
  }
  EXPECT_EQ(map.begin(named(1), named(101)).state, State::kNew);
  EXPECT_EQ(map.entries(), 0u);
}

// More keys and more bytes than allowed: the oldest leave, also while they run, and what a late
// answer then says under a key that is another's changes nothing.
TEST(IdempotencyMap, IsBounded) {
  ManualClock clock;
  IdempotencyMap map({.entries_max = 3, .bytes_max = 100}, clock);
  auto late = map.begin(named(0), named(0));
  std::vector<IdempotencyMap::Lease> running;
  for (int i = 1; i <= 1000; ++i) {
    auto begun = map.begin(named(i), named(i));
    ASSERT_EQ(begun.state, State::kNew);
    running.push_back(std::move(begun.lease));
    ASSERT_LE(map.entries(), 3u);
  }
  auto other = map.begin(named(0), named(5));
  ASSERT_EQ(other.state, State::kNew);
  late.lease.publish("late");
  EXPECT_EQ(map.begin(named(0), named(5)).state, State::kRunning);
  other.lease.publish(std::string(60, 'x'));
  running.back().publish(std::string(60, 'y'));
  EXPECT_LE(map.bytes(), 100u);
  auto large = map.begin(named(2000), named(1));
  large.lease.publish(std::string(101, 'z'));  // larger than everything allowed
  EXPECT_EQ(map.begin(named(2000), named(1)).state, State::kNew);
  EXPECT_LE(map.bytes(), 100u);
}

}  // namespace
}  // namespace sis::api
