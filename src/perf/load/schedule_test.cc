#include "perf/load/schedule.h"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "perf/report/histogram.h"

namespace sis::perf {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Constant arrivals of several parts interleave to the whole train, without drift after a million
// requests.
TEST(Schedule, ConstantPartsInterleaveWithoutDrift) {
  std::vector<Schedule> parts;
  for (int part = 0; part < 3; ++part)
    parts.emplace_back(Schedule::Options{.rate = 30000, .part = part, .parts = 3});
  for (int64_t i = 0; i < 1'000'000; ++i) {
    auto& part = parts[static_cast<size_t>(i % 3)];
    ASSERT_NEAR(static_cast<double>(part.next().count()), static_cast<double>(i) * 1e9 / 30000, 2)
        << i;
    part.advance();
  }
}

// Gaps of a Poisson train: mean 1/rate, deviation equal to the mean, the same for the same seed.
TEST(Schedule, PoissonGapsAreExponentialAndRepeatable) {
  Schedule a({.rate = 1000, .arrivals = Arrivals::kPoisson, .seed = 5});
  Schedule b({.rate = 1000, .arrivals = Arrivals::kPoisson, .seed = 5});
  Schedule other({.rate = 1000, .arrivals = Arrivals::kPoisson, .seed = 6});
  Histogram gaps;
  Duration last{};
  bool differs = false;
  for (int i = 0; i < 200'000; ++i) {
    ASSERT_EQ(a.next(), b.next());
    differs |= a.next() != other.next();
    gaps.record(a.next() - last);
    last = a.next();
    a.advance();
    b.advance();
    other.advance();
  }
  EXPECT_TRUE(differs);
  EXPECT_NEAR(gaps.mean_ms(), 1.0, 0.01);
  EXPECT_NEAR(gaps.stdev_ms(), 1.0, 0.02);
  EXPECT_NEAR(gaps.quantile_ms(0.5), std::log(2.0), 0.01);
}

// Bursts keep the rate: 100 requests/s in bursts of 10 are due ten at a time, ten times a second.
TEST(Schedule, BurstsKeepTheRate) {
  std::vector<Schedule> parts;
  for (int part = 0; part < 2; ++part)
    parts.emplace_back(Schedule::Options{.rate = 100, .burst = 10, .part = part, .parts = 2});
  for (int i = 0; i < 1000; ++i) {
    auto& part = parts[static_cast<size_t>(i % 2)];
    ASSERT_EQ(part.next(), milliseconds(100) * (i / 10)) << i;
    part.advance();
  }
  Schedule poisson({.rate = 1000, .arrivals = Arrivals::kPoisson, .burst = 20, .seed = 3});
  EXPECT_NEAR(static_cast<double>(poisson.skip_until(seconds(1000), 10'000'000)), 1e6, 15'000);
}

// A rate that rises from 0 to 1000/s within 10 s: 5,000 requests, a quarter of them in its first
// half; Poisson trains have the same shape.
TEST(Schedule, RatesMayChange) {
  const Profile rises{.start = 0, .stages = {{seconds(10), 1000}, {seconds(1), 0}}};
  Schedule constant({.rates = rises});
  EXPECT_EQ(constant.skip_until(seconds(5), 1'000'000), 1250u);
  EXPECT_EQ(constant.skip_until(seconds(10), 1'000'000), 3750u);
  EXPECT_EQ(constant.skip_until(seconds(100), 1'000'000), 500u);
  EXPECT_TRUE(constant.exhausted());

  uint64_t early = 0, late = 0;
  for (int part = 0; part < 4; ++part) {
    Schedule poisson(
        {.rates = rises, .arrivals = Arrivals::kPoisson, .seed = 11, .part = part, .parts = 4});
    early += poisson.skip_until(seconds(5), 1'000'000);
    late += poisson.skip_until(seconds(10), 1'000'000);
  }
  EXPECT_NEAR(static_cast<double>(early), 1250, 5 * std::sqrt(1250));
  EXPECT_NEAR(static_cast<double>(late), 3750, 5 * std::sqrt(3750));
}

TEST(Schedule, DueTimesAreDealtOutInTurn) {
  const auto times = std::make_shared<std::vector<Duration>>(
      std::vector<Duration>{milliseconds(1), milliseconds(2), milliseconds(2), milliseconds(9)});
  Schedule even({.trace = times, .part = 0, .parts = 2}),
      odd({.trace = times, .part = 1, .parts = 2});
  EXPECT_EQ(even.next(), milliseconds(1));
  even.advance();
  EXPECT_EQ(even.next(), milliseconds(2));
  even.advance();
  EXPECT_TRUE(even.exhausted());
  EXPECT_EQ(odd.skip_until(seconds(1), 100), 2u);
  EXPECT_TRUE(odd.exhausted());
}

TEST(Schedule, SkipUntilCountsWhatIsDue) {
  Schedule schedule({.rate = 100});
  EXPECT_EQ(schedule.skip_until(seconds(1), 1'000'000), 100u);  // 0, 10 ms, ... 990 ms
  EXPECT_EQ(schedule.next(), milliseconds(1000));
  EXPECT_EQ(schedule.skip_until(seconds(3600), 5), 5u);
}

// Those nobody takes any more know how long they have been due.
TEST(OpenLoop, WhatIsNeverTakenHasWaited) {
  const TimePoint start(seconds(100));
  OpenLoop open(Schedule({.rate = 100}), start);
  open.take(start);
  std::vector<Duration> waited;
  const auto note = [&](Duration time) { waited.push_back(time); };
  EXPECT_EQ(open.give_up_due(start + milliseconds(45), 1000, note), 4u);  // of 10, 20, 30, 40 ms
  EXPECT_EQ(waited, (std::vector<Duration>{milliseconds(35), milliseconds(25), milliseconds(15),
                                           milliseconds(5)}));
  EXPECT_EQ(open.give_up_due(start + milliseconds(45), 1000, note), 0u);
  EXPECT_EQ(open.give_up_due(start + seconds(1), 2, note), 2u);
  EXPECT_EQ(waited.size(), 6u);
}

TEST(OpenLoop, TakesNothingBeforeItIsDue) {
  ManualClock clock;
  OpenLoop loop(Schedule({.rate = 10}), clock.now());
  ASSERT_TRUE(loop.take(clock.now()).has_value());  // the first is due at the start
  clock.advance(milliseconds(99));
  EXPECT_FALSE(loop.take(clock.now()).has_value());
  clock.advance(milliseconds(1));
  const auto taken = loop.take(clock.now());
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->intended, clock.now());
  EXPECT_EQ(taken->late, Duration{});
  EXPECT_EQ(taken->waited, Duration{});
}

// A free connection and a loop that comes 7 ms late: that is the generator's fault, not the
// server's.
TEST(OpenLoop, OwnDelayIsLateness) {
  ManualClock clock;
  OpenLoop loop(Schedule({.rate = 10}), clock.now());
  clock.advance(milliseconds(7));
  const auto taken = loop.take(clock.now());
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->late, milliseconds(7));
  EXPECT_EQ(taken->waited, Duration{});
}

// One connection, 100 requests/s, a server that answers in 1 ms but stalls once for 1 s. Simulated
// in steps of 0.5 ms. Counted from the intended send, the stall is charged to about a hundred
// requests whose latencies fall from 1000 ms in steps of about 9 ms while the backlog drains; from
// the actual send only one is slow.
TEST(OpenLoop, StallIsChargedToEveryRequestItDelayed) {
  ManualClock clock;
  const TimePoint start = clock.now();
  OpenLoop loop(Schedule({.rate = 100}), start);
  Histogram from_intended, from_sent, late, waited;
  std::optional<TimePoint> busy_until;
  TimePoint intended{}, sent{};
  for (; clock.now() - start < seconds(10); clock.advance(microseconds(500))) {
    const TimePoint now = clock.now();
    if (busy_until && now >= *busy_until) {
      from_intended.record(now - intended);
      from_sent.record(now - sent);
      busy_until.reset();
      loop.freed(now);
    }
    if (busy_until) continue;
    if (const auto taken = loop.take(now)) {
      intended = taken->intended;
      sent = now;
      late.record(taken->late);
      waited.record(taken->waited);
      const bool stalls = from_sent.count() == 200;
      busy_until = now + (stalls ? Duration(seconds(1)) : Duration(milliseconds(1)));
    }
  }
  EXPECT_EQ(from_sent.count(), from_intended.count());
  EXPECT_NEAR(from_sent.max_ms(), 1000, 1);
  EXPECT_NEAR(from_sent.quantile_ms(0.998), 1, 0.01);
  // Slow ones: those due while the backlog lasted. It shrinks by 9 ms per request sent.
  const double slow =
      (1 - from_intended.share_within(1.5)) * static_cast<double>(from_intended.count());
  EXPECT_NEAR(slow, 1000.0 / 9.0, 2);
  EXPECT_NEAR(from_intended.max_ms(), 1000, 1);
  EXPECT_NEAR(waited.max_ms(), 990, 1);
  EXPECT_LE(late.max_ms(), 0.5);  // one step of the simulation
}

}  // namespace
}  // namespace sis::perf
