// Rules on simulated windows, with seeds that are fixed: what they find, when they stop, how often
// they are wrong.
#include "perf/load/stop_rules.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

namespace sis::perf {
namespace {

StopRule rule_of(const char* text) {
  const auto rule = parse_stop_rule(text);
  EXPECT_TRUE(rule.ok()) << (rule.ok() ? "" : rule.error().message);
  return *rule;
}

Window window_of(int number, double length_s = 1) {
  Window window{.number = number, .start_s = number * length_s, .length_s = length_s};
  window.total.started = TimePoint(from_seconds(100 + window.start_s));
  window.total.window_end = window.total.started + from_seconds(length_s);
  return window;
}

// The same window, emptied: for many in a row.
void refill(Window& window, int number) {
  window.total.reset();
  window.number = number;
  window.length_s = 1;
}

void add(Window& window, double ms, uint64_t count = 1) {
  window.total.latency.record(from_ms(ms), count);
  window.total.ok += count;
  window.total.ok_in_window += count;
}

TEST(StopRules, AreWrittenAsTheyAreRead) {
  const std::pair<const char*, const char*> cases[] = {
      {"stable", "stable(10%,3)"},
      {"stable(10%,3)", "stable(10%,3)"},
      {" stable( 0.05 , 5, p99 ) ", "stable(5%,5,p99)"},
      {"stable(5%,3,p(95),count=50,max=10)", "stable(5%,3,p95,count=50,max=10)"},
      {"ci(mean,5%)", "ci(mean,5%,95%)"},
      {"ci", "ci(mean,5%,95%)"},
      {"ci(p99.9,2%,99%,max=100)", "ci(p99.9,2%,99%,max=100)"},
      {"bound(p99<500ms)", "bound(p99<500ms,95%)"},
      {"bound(p95 < 1.5s, 99%)", "bound(p95<1500ms,99%)"},
      {"bound(p99<200)", "bound(p99<200ms,95%)"},
  };
  for (const auto& [text, want] : cases) {
    const auto rule = parse_stop_rule(text);
    ASSERT_TRUE(rule.ok()) << text << ": " << rule.error().message;
    EXPECT_EQ(rule->text(), want) << text;
    EXPECT_EQ(rule_of(want).text(), want);
  }
  for (const char* wrong : {"",
                            "stabel(10%,3)",
                            "stable(10%,3",
                            "stable(10%,1)",
                            "stable(-5%)",
                            "stable(200%,3)",
                            "stable(10%,3,p0)",
                            "stable(10%,20%)",
                            "stable(10%,3,count=0)",
                            "stable(x)",
                            "ci(p100,5%)",
                            "ci(mean,5%,100%)",
                            "ci(mean,1%,2%,3%)",
                            "bound",
                            "bound()",
                            "bound(p99)",
                            "bound(p99<0ms)",
                            "bound(p99<soon)",
                            "bound(mean<5ms)",
                            "bound(p99<5ms,100%)",
                            "bound(p99<5ms,p50)",
                            "stable(max=0)"})
    EXPECT_FALSE(parse_stop_rule(wrong).ok()) << wrong;
}

// As perf_analyzer: the first three neighbouring windows that agree within 10 % end the run, and
// are its result.
TEST(Stable, WaitsForThreeWindowsThatAgree) {
  StopWatch watch(rule_of("stable(10%,3)"));
  const std::pair<double, uint64_t> windows[] = {{10, 50}, {10, 90},    {10, 100}, {12, 100},
                                                 {11, 98}, {11.5, 102}, {11, 95}};
  // 90..100 differ by 11 %, 10..12 ms by 20 %, 12 to 11 by 9 %: stable with 12, 11, 11.5.
  int ended = -1;
  for (int i = 0; i < 7 && ended < 0; ++i) {
    Window window = window_of(i);
    add(window, windows[i].first, windows[i].second);
    const StopState state = watch.note(window);
    if (state.stop) ended = i;
    EXPECT_EQ(state.stop, state.met);
  }
  EXPECT_EQ(ended, 5);
  const Window result = *watch.result();
  EXPECT_EQ(result.total.ok, 300u);
  EXPECT_DOUBLE_EQ(result.start_s, 3);
  EXPECT_DOUBLE_EQ(result.length_s, 3);
  EXPECT_NEAR(result.total.wall_s(), 3, 1e-9);
  EXPECT_NEAR(result.total.latency.max_ms(), 12, 0.01);
}

TEST(Stable, NothingAnsweredIsNotStable) {
  StopWatch watch(rule_of("stable(10%,3,max=6)"));
  StopState state;
  for (int i = 0; i < 6; ++i) {
    EXPECT_FALSE(state.stop);
    state = watch.note(window_of(i));
  }
  EXPECT_TRUE(state.stop);  // gave up
  EXPECT_FALSE(state.met);
}

TEST(Stable, ShortRestsDoNotCount) {
  StopWatch watch(rule_of("stable(10%,2)"));
  Window first = window_of(0);
  add(first, 5, 10);
  watch.note(first);
  Window rest = window_of(1, 0.2);
  add(rest, 5, 2);
  EXPECT_FALSE(watch.note(rest).stop);
}

// count=50: windows of 20 requests are joined to three.
TEST(Stable, WindowsMayBeJoinedToACountOfRequests) {
  StopWatch watch(rule_of("stable(10%,2,count=50)"));
  for (int i = 0; i < 6; ++i) {
    Window window = window_of(i);
    add(window, 5, 20);
    EXPECT_EQ(watch.note(window).stop, i == 5) << i;
  }
  EXPECT_EQ(watch.result()->total.ok, 120u);
  EXPECT_DOUBLE_EQ(watch.result()->length_s, 6);
}

// The interval that ends a run covers the true mean about as often as it claims (stopping as soon
// as it looks narrow costs a little), and narrower intervals take longer.
TEST(Interval, CoversTheTrueMean) {
  int covered = 0, windows_wide = 0, windows_narrow = 0;
  constexpr int kRuns = 100;
  Window window;
  for (int run = 0; run < kRuns; ++run) {
    Rng rng(1000 + static_cast<uint64_t>(run));
    StopWatch wide(rule_of("ci(mean,5%)")), narrow(rule_of("ci(mean,2%)"));
    Histogram seen;
    for (int i = 0; i < 2000 && !narrow.state().stop; ++i) {
      refill(window, i);
      for (int j = 0; j < 100; ++j) add(window, -10 * std::log(1 - rng.uniform()));
      if (!wide.state().stop) ++windows_wide;
      wide.note(window);
      ++windows_narrow;
      seen.merge(window.total.latency);
      narrow.note(window);
    }
    ASSERT_TRUE(narrow.state().met) << narrow.state().detail;
    if (std::fabs(seen.mean_ms() - 10) <= 0.02 * 10) ++covered;
  }
  EXPECT_GE(covered, kRuns * 0.85);
  EXPECT_GT(windows_narrow, 2 * windows_wide);
}

TEST(Interval, PercentilesWantEnoughAnswersInEachBatch) {
  StopWatch watch(rule_of("ci(p99,10%,max=50)"));
  for (int i = 0; i < 12; ++i) {
    Window window = window_of(i);
    add(window, 5, 20);
    EXPECT_FALSE(watch.note(window).stop);
  }
  EXPECT_NE(watch.state().detail.find("too small for p99"), std::string::npos)
      << watch.state().detail;
  // 400 windows of 50: batches of 32 windows hold 1,600 answers.
  StopWatch later(rule_of("ci(p99,10%)"));
  Rng rng(7);
  int taken = 0;
  for (; taken < 2000 && !later.state().stop; ++taken) {
    Window window = window_of(taken);
    for (int j = 0; j < 50; ++j) add(window, 10 + rng.uniform());
    later.note(window);
  }
  EXPECT_TRUE(later.state().met);
  EXPECT_GE(taken * 50 / 10, 1000);
}

// Windows of 200 requests of which a share `over` takes too long, until the rule ends.
struct BoundRun {
  int windows = 0;
  bool proved = false, disproved = false;
};
BoundRun bound_run(double over, uint64_t seed, int windows_max) {
  Rng rng(seed);
  StopWatch watch(rule_of("bound(p99<500ms)"));
  BoundRun run;
  Window window;
  for (; run.windows < windows_max && !watch.state().stop; ++run.windows) {
    refill(window, run.windows);
    for (int j = 0; j < 200; ++j) add(window, rng.uniform() < over ? 600 : 100);
    watch.note(window);
  }
  run.proved = watch.state().detail.find("is proved") != std::string::npos;
  run.disproved = watch.state().detail.find("is disproved") != std::string::npos;
  return run;
}

TEST(Bound, ProvesAndDisproves) {
  const BoundRun good = bound_run(0.003, 5, 500), bad = bound_run(0.03, 6, 500);
  EXPECT_TRUE(good.proved);
  EXPECT_FALSE(good.disproved);
  EXPECT_TRUE(bad.disproved);
  EXPECT_FALSE(bad.proved);
  EXPECT_LT(good.windows, 100);
  EXPECT_LT(bad.windows, 100);
}

// At a true share of exactly 1 %, where neither answer is right, the rule may answer in at most one
// of twenty runs, however often it looks.
TEST(Bound, LookingAgainDoesNotFindThingsByChance) {
  int answers = 0;
  for (int run = 0; run < 200; ++run) {
    const BoundRun result = bound_run(0.01, 10'000 + static_cast<uint64_t>(run), 200);
    answers += result.proved || result.disproved ? 1 : 0;
  }
  EXPECT_LE(answers, 10);
}

TEST(Bound, FailuresCountAsTooLong) {
  StopWatch watch(rule_of("bound(p99<500ms)"));
  for (int i = 0; i < 20 && !watch.state().stop; ++i) {
    Window window = window_of(i);
    add(window, 1, 90);
    window.total.failed = 10;
    watch.note(window);
  }
  EXPECT_NE(watch.state().detail.find("is disproved"), std::string::npos) << watch.state().detail;
}

// Against sums of the probabilities themselves, and known values.
TEST(Statistics, BinomialTailsAreExact) {
  for (const uint64_t n : {1u, 7u, 100u, 400u})
    for (const double p : {0.01, 0.3, 0.5, 0.99}) {
      double sum = 0;
      for (uint64_t k = 0; k <= n; ++k) {
        const double tail = binomial_tail(k, n, p);
        EXPECT_NEAR(tail, 1 - sum, 1e-11) << n << " " << p << " " << k;
        sum += std::exp(std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0) +
                        static_cast<double>(k) * std::log(p) +
                        static_cast<double>(n - k) * std::log1p(-p));
        EXPECT_NEAR(binomial_cdf(k, n, p), sum, 1e-11) << n << " " << p << " " << k;
      }
    }
  // 299 without one over 1 % prove p99 at 95 % (0.99^299 = 0.0495).
  EXPECT_NEAR(binomial_cdf(0, 299, 0.01), std::pow(0.99, 299), 1e-12);
  // Large numbers: near the normal distribution.
  EXPECT_NEAR(binomial_cdf(100'000, 10'000'000, 0.01), 0.5, 0.002);
  EXPECT_NEAR(binomial_cdf(99'383, 10'000'000, 0.01), 0.025, 0.0005);
}

TEST(Statistics, StudentQuantilesOfTheTables) {
  EXPECT_NEAR(student_quantile(0.975, 1), 12.706, 0.001);
  EXPECT_NEAR(student_quantile(0.975, 9), 2.262, 0.001);
  EXPECT_NEAR(student_quantile(0.95, 19), 1.729, 0.001);
  EXPECT_NEAR(student_quantile(0.995, 39), 2.708, 0.001);
  EXPECT_NEAR(student_quantile(0.5, 5), 0, 1e-6);
}

}  // namespace
}  // namespace sis::perf
