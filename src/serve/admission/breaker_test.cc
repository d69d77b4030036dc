#include "serve/admission/breaker.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "base/rng.h"

namespace sis::admission {
namespace {

using std::chrono::seconds;
using Verdict = BreakerPolicy::Verdict;

TimePoint at(int second) { return TimePoint(seconds(1000 + second)); }

TEST(BreakerPolicy, OpensAfterFailuresInARowOnly) {
  BreakerPolicy policy({.failures_max = 3, .open_time = seconds(10)});
  const auto run = [&](Verdict verdict) {
    const auto era = policy.ask(at(0));
    ASSERT_TRUE(era);
    policy.tell(*era, verdict, at(0));
  };
  for (int round = 0; round < 5; ++round) {
    run(Verdict::kFailure);
    run(Verdict::kNone);
    run(Verdict::kFailure);
    run(Verdict::kSuccess);
  }
  EXPECT_EQ(policy.state(), BreakerState::kClosed);
  for (int i = 0; i < 3; ++i) run(Verdict::kFailure);
  EXPECT_EQ(policy.state(), BreakerState::kOpen);
  EXPECT_EQ(policy.openings(), 1);
  EXPECT_EQ(policy.retry_after(at(4)), seconds(6));
  EXPECT_FALSE(policy.ask(at(9)));
}

TEST(BreakerPolicy, OneProbeDecides) {
  BreakerPolicy policy({.failures_max = 1, .open_time = seconds(10)});
  policy.tell(*policy.ask(at(0)), Verdict::kFailure, at(0));
  auto probe = policy.ask(at(10));
  ASSERT_TRUE(probe);
  EXPECT_EQ(policy.state(), BreakerState::kHalfOpen);
  EXPECT_FALSE(policy.ask(at(11)));
  EXPECT_EQ(policy.retry_after(at(11)), seconds(1));
  policy.tell(*probe, Verdict::kFailure, at(12));
  EXPECT_EQ(policy.state(), BreakerState::kOpen);
  EXPECT_FALSE(policy.ask(at(21)));
  probe = policy.ask(at(22));
  ASSERT_TRUE(probe);
  // A probe whose client left has shown nothing: the next request takes its place.
  policy.tell(*probe, Verdict::kNone, at(23));
  probe = policy.ask(at(23));
  ASSERT_TRUE(probe);
  policy.tell(*probe, Verdict::kSuccess, at(24));
  EXPECT_EQ(policy.state(), BreakerState::kClosed);
  EXPECT_EQ(policy.openings(), 2);
}

// A probe that never ends must not keep the breaker from trying again; one that only takes long is
// still heard.
TEST(BreakerPolicy, AProbeExpires) {
  BreakerPolicy policy({.failures_max = 1, .open_time = seconds(10)});
  policy.tell(*policy.ask(at(0)), Verdict::kFailure, at(0));
  const auto first = policy.ask(at(10));
  ASSERT_TRUE(first);
  EXPECT_FALSE(policy.ask(at(19)));
  const auto second = policy.ask(at(20));
  ASSERT_TRUE(second);
  EXPECT_EQ(policy.state(), BreakerState::kHalfOpen);
  EXPECT_FALSE(policy.ask(at(29)));
  policy.tell(*first, Verdict::kSuccess, at(29));
  EXPECT_EQ(policy.state(), BreakerState::kClosed);
  policy.tell(*second, Verdict::kFailure, at(30));  // it passed in another state
  EXPECT_EQ(policy.state(), BreakerState::kClosed);
  EXPECT_EQ(policy.openings(), 1);
}

TEST(BreakerPolicy, HeldOpenUntilReleased) {
  BreakerPolicy policy({.failures_max = 5, .open_time = seconds(10)});
  const auto old = policy.ask(at(0));
  policy.trip(at(0), /*held=*/true, seconds(3));
  EXPECT_EQ(policy.retry_after(at(1)), seconds(2));
  EXPECT_FALSE(policy.ask(at(1000)));
  policy.trip(at(1000), /*held=*/true, seconds(3));  // still broken: the same opening
  EXPECT_EQ(policy.openings(), 1);
  policy.release();
  EXPECT_EQ(policy.state(), BreakerState::kClosed);
  EXPECT_TRUE(policy.ask(at(1001)));
  // Failures of before count for nothing now.
  for (int i = 0; i < 10; ++i) policy.tell(*old, Verdict::kFailure, at(1001));
  EXPECT_EQ(policy.state(), BreakerState::kClosed);
}

// The rules as one would say them, without eras: every pass remembers how the breaker stood and
// how often that had changed.
class NaiveBreaker {
 public:
  NaiveBreaker(int failures_max, Duration open_time)
      : failures_max_(failures_max), open_time_(open_time) {}

  bool ask(int pass, TimePoint now) {
    if (state == BreakerState::kOpen && !held && now >= opened + open_time_) {
      change(BreakerState::kHalfOpen);
      probed_ = now;
      passes_[pass] = changes_;
      return true;
    }
    if (state == BreakerState::kHalfOpen && now >= probed_ + open_time_)
      probed_ = now;
    else if (state != BreakerState::kClosed)
      return false;
    passes_[pass] = changes_;
    return true;
  }
  void tell(int pass, Verdict verdict, TimePoint now) {
    const bool current = passes_[pass] == changes_;
    passes_.erase(pass);
    if (!current) return;
    if (state == BreakerState::kHalfOpen) {
      if (verdict == Verdict::kSuccess) {
        change(BreakerState::kClosed);
      } else {
        if (verdict == Verdict::kFailure) {
          opened = now;
          ++openings;
        }
        change(BreakerState::kOpen);
      }
    } else if (verdict == Verdict::kSuccess) {
      in_a_row_ = 0;
    } else if (verdict == Verdict::kFailure && ++in_a_row_ == failures_max_) {
      opened = now;
      ++openings;
      change(BreakerState::kOpen);
    }
  }
  void trip(TimePoint now) {
    if (state != BreakerState::kOpen) {
      opened = now;
      ++openings;
      change(BreakerState::kOpen);
    }
    held = true;
  }
  void release() {
    if (state != BreakerState::kClosed) change(BreakerState::kClosed);
  }

  BreakerState state = BreakerState::kClosed;
  int64_t openings = 0;
  TimePoint opened{};
  bool held = false;

 private:
  void change(BreakerState to) {
    state = to;
    ++changes_;
    in_a_row_ = 0;
    if (to == BreakerState::kClosed) held = false;
  }
  const int failures_max_;
  const Duration open_time_;
  TimePoint probed_{};
  int changes_ = 0, in_a_row_ = 0;
  std::map<int, int> passes_;
};

// Random requests that overlap, end in any order and with any verdict, faults and repairs: the
// policy says what the naive one says, at every step.
TEST(BreakerPolicy, AgreesWithANaiveModel) {
  int64_t openings = 0, probes = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const int failures_max = 1 + static_cast<int>(rng.below(4));
    const Duration open_time = seconds(rng.below(12));
    BreakerPolicy policy({.failures_max = failures_max, .open_time = open_time});
    NaiveBreaker naive(failures_max, open_time);
    std::map<int, BreakerPolicy::Era> under_way;
    TimePoint now = at(0);
    for (int step = 0; step < 400; ++step) {
      now += seconds(rng.below(3));
      const uint64_t what = rng.below(100);
      if (what < 50) {
        const auto era = policy.ask(now);
        ASSERT_EQ(era.has_value(), naive.ask(step, now)) << "step " << step;
        if (era) under_way[step] = *era;
        probes += naive.state == BreakerState::kHalfOpen;
      } else if (what < 96 && !under_way.empty()) {
        const auto it =
            std::next(under_way.begin(), static_cast<int64_t>(rng.below(under_way.size())));
        const Verdict verdict = std::array{Verdict::kSuccess, Verdict::kFailure, Verdict::kFailure,
                                           Verdict::kNone}[rng.below(4)];
        policy.tell(it->second, verdict, now);
        naive.tell(it->first, verdict, now);
        under_way.erase(it);
      } else if (what < 98) {
        policy.trip(now, /*held=*/true, seconds(5));
        naive.trip(now);
      } else {
        policy.release();
        naive.release();
      }
      ASSERT_EQ(policy.state(), naive.state) << "step " << step;
      ASSERT_EQ(policy.openings(), naive.openings) << "step " << step;
      ASSERT_EQ(policy.retry_after(now) > Duration::zero(), naive.state != BreakerState::kClosed);
    }
    openings += naive.openings;
  }
  EXPECT_GT(openings, 1000);
  EXPECT_GT(probes, 300);
}

TEST(Breaker, RefusesWithReasonAndTime) {
  ManualClock clock;
  std::vector<BreakerState> states;
  int openings = 0;
  Breaker breaker("m", {.failures_max = 2, .open_time = seconds(30)}, clock,
                  [&](BreakerState state, bool opened) {
                    states.push_back(state);
                    openings += opened;
                  });
  for (const int status : {400, 404, 422, 429, 499, 503, 504, 500, 200, 500}) {
    auto pass = breaker.enter();
    ASSERT_TRUE(pass.ok());
    pass->end_with_status(status);
  }
  EXPECT_EQ(breaker.state(), BreakerState::kClosed);
  breaker.enter()->end_with_status(500);
  EXPECT_EQ(breaker.state(), BreakerState::kOpen);
  clock.advance(seconds(12));
  const auto refused = breaker.enter();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_EQ(refused.error().reason, "circuit_open");
  EXPECT_EQ(refused.error().retry_after, seconds(18));
  clock.advance(seconds(18));
  { const auto dropped = breaker.enter(); }  // a probe that ends without a word
  EXPECT_EQ(breaker.state(), BreakerState::kOpen);
  breaker.enter()->end_with_status(200);
  EXPECT_EQ(states, (std::vector{BreakerState::kOpen, BreakerState::kHalfOpen, BreakerState::kOpen,
                                 BreakerState::kHalfOpen, BreakerState::kClosed}));
  EXPECT_EQ(openings, 1);
}

// Many threads, every second answer a failure: nobody is lost between passed and refused, and the
// breaker ends in a state it can leave.
TEST(Breaker, ManyThreads) {
  SteadyClock clock;
  Breaker breaker("m", {.failures_max = 3, .open_time = std::chrono::microseconds(50)}, clock);
  std::atomic<int> passed{0}, refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Rng rng(static_cast<uint64_t>(t) + 1);
      for (int i = 0; i < 3000; ++i) {
        auto pass = breaker.enter();
        if (pass.ok()) pass->end_with_status(rng.below(2) == 0 ? 200 : 500);
        ++(pass.ok() ? passed : refused);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(passed + refused, 12000);
  EXPECT_GT(breaker.openings(), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto last = breaker.enter();
  ASSERT_TRUE(last.ok());
  last->end_with_status(200);
  EXPECT_EQ(breaker.state(), BreakerState::kClosed);
}

}  // namespace
}  // namespace sis::admission
