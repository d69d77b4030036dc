#include "serve/admission/rate_counter.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "base/strings.h"
#include "serve/admission/rate_limits.h"

namespace sis::admission {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr auto kAddress = RateClient::Kind::kAddress;
constexpr auto kKey = RateClient::Kind::kKey;

// Random clients and windows against one list per client and window: a request passes when it fits
// all of its windows, and only then counts in any; `retry_after` is the first moment it would fit.
TEST(LocalRateCounter, ChargesAllWindowsOrNone) {
  for (uint64_t seed = 1; seed <= 15; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    ManualClock clock;
    LocalRateCounter counter(clock, 100);
    const std::vector<RateWindow> windows = {{"short", 3, milliseconds(50)},
                                             {"long", 8, milliseconds(400)},
                                             {"tokens", 100, milliseconds(200)}};
    std::map<std::string, std::vector<std::vector<std::pair<TimePoint, int64_t>>>> naive;
    for (int step = 0; step < 3000; ++step) {
      clock.advance(std::chrono::microseconds(rng.below(20000)));
      const RateClient client{rng.below(2) ? kKey : kAddress, concat("c", rng.below(4))};
      auto& lists = naive[concat(client.kind == kKey, client.name)];
      lists.resize(3);
      const int64_t tokens = 1 + static_cast<int64_t>(rng.below(150));
      const std::vector<RateCharge> charges = {{&windows[0]}, {&windows[1]}, {&windows[2], tokens}};
      const auto fits = [&](TimePoint at) {
        for (size_t i = 0; i < 3; ++i) {
          int64_t sum = std::min(charges[i].cost, windows[i].limit);
          for (const auto& [when, count] : lists[i])
            if (when + windows[i].length > at) sum += count;
          if (sum > windows[i].limit) return false;
        }
        return true;
      };
      const TimePoint now = clock.now();
      const bool wanted = fits(now);
      const RateVerdict verdict = counter.take_now(client, charges);
      ASSERT_EQ(verdict.allowed(), wanted) << step;
      if (wanted) {
        for (size_t i = 0; i < 3; ++i)
          lists[i].emplace_back(now, std::min(charges[i].cost, windows[i].limit));
      } else {
        ASSERT_TRUE(fits(now + verdict.retry_after));
        ASSERT_FALSE(fits(now + verdict.retry_after - Duration(1)));
      }
      for (size_t i = 0; i < 3; ++i) {
        int64_t sum = 0;
        Duration reset{};
        for (const auto& [when, count] : lists[i]) {
          if (when + windows[i].length <= now) continue;
          sum += count;
          reset = std::max(reset, when + windows[i].length - now);
        }
        ASSERT_EQ(verdict.levels[i].remaining, windows[i].limit - sum);
        ASSERT_EQ(verdict.levels[i].reset, reset);
      }
    }
  }
}

TEST(LocalRateCounter, SettlesAnEstimate) {
  ManualClock clock;
  LocalRateCounter counter(clock, 10);
  const RateWindow window{"tokens", 100, minutes(1)};
  const RateClient client{kKey, "a"};
  const auto take = [&](int64_t cost) {
    const RateCharge charge{&window, cost};
    return counter.take_now(client, {&charge, 1});
  };
  const auto first = take(60);
  ASSERT_TRUE(first.allowed());
  EXPECT_FALSE(take(50).allowed());
  counter.settle(client, window, first.levels[0], 60, 10);
  const auto second = take(50);
  EXPECT_TRUE(second.allowed());
  EXPECT_EQ(second.levels[0].remaining, 40);
  counter.settle(client, window, second.levels[0], 50, 500);  // far more than was thought
  EXPECT_FALSE(take(1).allowed());
  clock.advance(minutes(1));
  EXPECT_TRUE(take(1000).allowed());  // an empty window lets anything in
  counter.settle({kAddress, "unknown"}, window, {}, 5, 50);
  EXPECT_EQ(counter.addresses(), 0u);
}

// A flood of addresses takes bounded memory, forgets only addresses, and those unseen longest.
TEST(LocalRateCounter, ForgetsTheAddressUnseenForLongest) {
  ManualClock clock;
  LocalRateCounter counter(clock, 100);
  const RateWindow window{"minute", 2, minutes(1)};
  const RateCharge charge{&window};
  const auto take = [&](RateClient::Kind kind, const std::string& name) {
    return counter.take_now({kind, name}, {&charge, 1}).allowed();
  };
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(take(kKey, "k") && take(kAddress, "10.0.0.1"));
  for (int i = 0; i < 10000; ++i) {
    EXPECT_TRUE(take(kAddress, concat("flood ", i)));
    if (i % 50 == 0) {
      EXPECT_FALSE(take(kAddress, "10.0.0.1"));
    }
  }
  EXPECT_EQ(counter.addresses(), 100u);
  EXPECT_FALSE(take(kKey, "k"));
  EXPECT_TRUE(take(kAddress, "flood 1"));
}

TEST(RateLimits, BecomeWindows) {
  const auto plain = windows_of({.rpm = 60}, "");
  ASSERT_EQ(plain.requests.size(), 1u);
  EXPECT_EQ(plain.requests[0], (RateWindow{"minute", 60, minutes(1)}));
  EXPECT_FALSE(plain.tokens);
  const auto burst = windows_of({.rpm = 500, .burst = 10, .tokens_per_minute = 9}, "/v1/infer ");
  ASSERT_EQ(burst.requests.size(), 2u);
  EXPECT_EQ(burst.requests[0], (RateWindow{"/v1/infer minute", 510, minutes(1)}));
  EXPECT_EQ(burst.requests[1], (RateWindow{"/v1/infer hour", 30000, std::chrono::hours(1)}));
  EXPECT_EQ(burst.tokens, (RateWindow{"/v1/infer tokens", 9, minutes(1)}));
  EXPECT_EQ(windows_of({.rph = 7}, "").requests.size(), 1u);
  EXPECT_TRUE(windows_of({}, "").requests.empty());
}

TEST(RateLimits, ResetTimesReadAsClientsExpect) {
  EXPECT_EQ(reset_text(milliseconds(0)), "0ms");
  EXPECT_EQ(reset_text(milliseconds(-5)), "0ms");
  EXPECT_EQ(reset_text(std::chrono::microseconds(249100)), "250ms");
  EXPECT_EQ(reset_text(milliseconds(1000)), "1s");
  EXPECT_EQ(reset_text(milliseconds(1001)), "2s");
  EXPECT_EQ(reset_text(minutes(6)), "6m0s");
  EXPECT_EQ(reset_text(std::chrono::hours(1)), "1h0m0s");
}

}  // namespace
}  // namespace sis::admission
