#include "serve/admission/rate_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "base/rng.h"

namespace sis::admission {
namespace {

using std::chrono::milliseconds;

// Every entry by itself: what the log must agree with.
struct NaiveLog {
  struct Entry {
    TimePoint at;
    int64_t count;
  };
  std::deque<Entry> entries;

  int64_t used(TimePoint now, Duration length) {
    std::erase_if(entries, [&](const Entry& entry) { return entry.at + length <= now; });
    int64_t sum = 0;
    for (const Entry& entry : entries) sum += entry.count;
    return sum;
  }
  bool fits(TimePoint now, const RateWindow& window, int64_t cost) {
    return used(now, window.length) + std::min(cost, window.limit) <= window.limit;
  }
  Duration wait(TimePoint now, const RateWindow& window, int64_t cost) {
    if (fits(now, window, cost)) return Duration::zero();
    for (const Entry& entry : std::deque<Entry>(entries)) {
      NaiveLog later = *this;
      if (later.fits(entry.at + window.length, window, cost)) return entry.at + window.length - now;
    }
    return Duration::max();
  }
};

// Up to kExactMax the log says what the naive one says, at every step of random histories with
// charges, corrections and jumps in time.
TEST(RateLog, AgreesWithANaiveLogWhenExact) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    const RateWindow window{"w", static_cast<int64_t>(1 + rng.below(seed % 4 ? 20 : 200)),
                            milliseconds(1 + rng.below(500))};
    RateLog log;
    NaiveLog naive;
    TimePoint now{};
    std::vector<std::pair<TimePoint, int64_t>> made;
    for (int step = 0; step < 2000; ++step) {
      const uint64_t jump = rng.below(100);
      if (jump < 60) now += std::chrono::microseconds(rng.below(20000));
      if (jump == 99) now += window.length;
      const int64_t cost = 1 + static_cast<int64_t>(rng.below(3));
      ASSERT_EQ(log.used(now, window), naive.used(now, window.length));
      ASSERT_EQ(log.wait(now, window, cost), naive.wait(now, window, cost)) << step;
      if (log.wait(now, window, cost) == Duration::zero() && cost <= window.limit) {
        const TimePoint entry = log.add(now, window, cost);
        ASSERT_EQ(entry, now);
        naive.entries.push_back({now, cost});
        made.emplace_back(entry, cost);
      }
      if (!made.empty() && rng.below(5) == 0) {
        const auto [entry, most] = made[rng.below(made.size())];
        const int64_t back = 1 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(most)));
        int64_t there = 0;  // entries of one instant are one to the log
        for (const auto& one : naive.entries) there += one.at == entry ? one.count : 0;
        int64_t left = std::min(back, there);
        log.take_back(entry, back);
        for (auto& one : naive.entries) {
          if (one.at != entry) continue;
          const int64_t part = std::min(left, one.count);
          one.count -= part;
          left -= part;
        }
        std::erase_if(naive.entries, [](const auto& one) { return one.count == 0; });
      }
      ASSERT_LE(log.cells(), static_cast<size_t>(window.limit));
    }
  }
}

// Above kExactMax no stretch of the window's length holds more than the limit, a refusal's wait is
// enough and at most one step too long, and memory stays bounded.
TEST(RateLog, CoarseWindowsNeverAdmitMore) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    const RateWindow window{"w", 1500 + static_cast<int64_t>(rng.below(5000)), milliseconds(500)};
    const Duration step_length = window.length / RateLog::kCoarseSteps;
    RateLog log;
    NaiveLog naive;
    TimePoint now{};
    for (int step = 0; step < 4000; ++step) {
      now += std::chrono::microseconds(rng.below(600));
      const int64_t cost = 1 + static_cast<int64_t>(rng.below(30));
      const Duration wait = log.wait(now, window, cost);
      if (wait == Duration::zero()) {
        log.add(now, window, cost);
        naive.entries.push_back({now, cost});
        ASSERT_LE(naive.used(now, window.length), window.limit);
      } else {
        ASSERT_LE(wait, naive.wait(now, window, cost) + step_length + Duration(1));
        RateLog later = log;
        ASSERT_EQ(later.wait(now + wait, window, cost), Duration::zero());
      }
      ASSERT_LE(log.cells(), static_cast<size_t>(RateLog::kCoarseSteps) + 2);
    }
  }
}

TEST(RateLog, ACostAboveTheLimitWaitsForAnEmptyWindow) {
  const RateWindow window{"w", 10, milliseconds(100)};
  RateLog log;
  const TimePoint start{};
  EXPECT_EQ(log.wait(start, window, 50), Duration::zero());
  log.add(start, window, 1);
  EXPECT_EQ(log.wait(start, window, 50), milliseconds(100));
  EXPECT_EQ(log.wait(start + milliseconds(100), window, 50), Duration::zero());
}

// A reload changes limit and length; what was done before still counts.
TEST(RateLog, KeepsItsEntriesWhenTheLimitChanges) {
  RateLog log;
  const TimePoint start = TimePoint(std::chrono::hours(1));
  RateWindow window{"w", 100000, milliseconds(1000)};
  log.add(start, window, 50);
  window.limit = 60;
  log.add(start, window, 5);  // behind the rounded stamp of the first
  EXPECT_EQ(log.used(start, window), 55);
  EXPECT_EQ(log.wait(start, window, 5), Duration::zero());
  EXPECT_GT(log.wait(start, window, 6), Duration::zero());
  window.limit = 10;
  EXPECT_GT(log.wait(start, window, 1), Duration::zero());
  window.length = milliseconds(10);
  EXPECT_EQ(log.used(start + milliseconds(20), window), 0);
}

TEST(RateLog, StaysBoundedWhenMoreIsCountedThanAllowed) {
  RateLog log;
  const RateWindow window{"w", 10, std::chrono::hours(1)};
  TimePoint now{};
  for (int i = 0; i < 10000; ++i) log.add(now += milliseconds(1), window, 1);
  EXPECT_EQ(log.used(now, window), 10000);
  EXPECT_LE(log.cells(), RateLog::kCellsMax);
}

}  // namespace
}  // namespace sis::admission
