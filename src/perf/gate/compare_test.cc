// Verdicts on runs whose figures are made up, without chance: what regressed, improved, stayed, and
// what nobody could tell.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "perf/gate/compare.h"
#include "perf/gate/gate_report.h"
#include "perf/gate/samples_fixture.h"

namespace sis::perf {
namespace {

// 10 values around `center` that spread by `spread` (1 %: 0.01) to both sides.
std::vector<double> around(double center, double spread) {
  std::vector<double> out;
  for (int i = 0; i < 10; ++i) out.push_back(center * (1 + spread * (i - 4.5) / 4.5));
  return out;
}

MetricComparison only(const Result<GateReport>& report) {
  EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
  if (!report.ok() || report->groups.empty() || report->groups[0].metrics.empty()) return {};
  return report->groups[0].metrics[0];
}

MetricComparison compared(const std::string& metric, const std::vector<double>& baseline,
                          const std::vector<double>& candidate, GateOptions options = {}) {
  return only(
      compare_runs(made_samples(metric, baseline), made_samples(metric, candidate), options));
}

TEST(Compare, ClearChangesBothWays) {
  const auto slower = compared("latency_p50", around(100, 0.02), around(112, 0.02));
  EXPECT_EQ(slower.verdict, GateVerdict::kRegressed);
  EXPECT_NEAR(slower.change, 0.12, 1e-9);
  EXPECT_GT(slower.interval.low, 0.08);
  EXPECT_LT(slower.interval.high, 0.16);
  EXPECT_LT(slower.p_worse, 0.001);
  EXPECT_GT(slower.p_better, 0.99);
  EXPECT_EQ(compared("latency_p50", around(112, 0.02), around(100, 0.02)).verdict,
            GateVerdict::kImproved);
  // More throughput is better.
  EXPECT_EQ(compared("throughput", around(112, 0.02), around(100, 0.02)).verdict,
            GateVerdict::kRegressed);
  EXPECT_EQ(compared("throughput", around(100, 0.02), around(112, 0.02)).verdict,
            GateVerdict::kImproved);
}

TEST(Compare, ChangesBelowTheLeastAreNone) {
  const auto small = compared("latency_p50", around(100, 0.01), around(102, 0.01));
  EXPECT_EQ(small.verdict, GateVerdict::kSame);
  EXPECT_LT(small.p_worse, 0.02);
  EXPECT_NE(small.note.find("below the least"), std::string::npos) << small.note;
  EXPECT_EQ(
      compared("latency_p50", around(100, 0.01), around(102, 0.01), {.min_effect = 0.01}).verdict,
      GateVerdict::kRegressed);
}

TEST(Compare, NoiseIsSaidToBeNoise) {
  const auto noisy = compared("latency_p99", around(100, 0.4), around(106, 0.4));
  EXPECT_EQ(noisy.verdict, GateVerdict::kTooNoisy);
  EXPECT_GT(noisy.runs_needed, 50);
  EXPECT_EQ(compared("latency_p99", around(100, 0.01), around(100, 0.01)).verdict,
            GateVerdict::kSame);
  // Less noise, fewer runs.
  const auto quieter = compared("latency_p99", around(100, 0.15), around(101, 0.15));
  EXPECT_EQ(quieter.verdict, GateVerdict::kTooNoisy);
  EXPECT_LT(quieter.runs_needed, noisy.runs_needed);
}

TEST(Compare, TooFewRunsSaySo) {
  const auto few = compared("latency_p50", {100, 101, 99}, {150, 151, 149});
  EXPECT_EQ(few.verdict, GateVerdict::kTooNoisy);
  EXPECT_EQ(few.runs_needed, 4);  // 1 / C(8, 4) = 1 / 70 is the first below 2 %
  EXPECT_NE(few.note.find("3 and 3 runs are too few"), std::string::npos) << few.note;
}

TEST(Compare, ErrorRatesByTheirDifference) {
  const std::vector<double> none(10, 0.0), some(10, 0.02), hardly(10, 0.001);
  const auto worse = compared("error_rate", none, some);
  EXPECT_EQ(worse.verdict, GateVerdict::kRegressed);
  EXPECT_NEAR(worse.change, 0.02, 1e-12);
  EXPECT_EQ(compared("error_rate", none, none).verdict, GateVerdict::kSame);
  EXPECT_EQ(compared("error_rate", none, hardly).verdict, GateVerdict::kSame);
  EXPECT_EQ(compared("error_rate", some, none).verdict, GateVerdict::kImproved);
}

// The more metrics, the more each must show: 6 runs a side reach p = 1 / 924.
TEST(Compare, ManyMetricsShareTheLevel) {
  const auto samples = [](double first) {
    std::vector<RunSample> out;
    for (int i = 0; i < 6; ++i) {
      const double other = 100 + (i * 37) % 6;
      out.push_back(made_sample({{"latency_p50", first + i * 0.1},
                                 {"latency_p95", other},
                                 {"latency_p99", other},
                                 {"throughput", other}}));
    }
    return out;
  };
  const auto alone = compare_runs(samples(100), samples(120), {.metrics = {"latency_p50"}});
  const auto among = compare_runs(samples(100), samples(120), {});
  ASSERT_TRUE(alone.ok() && among.ok());
  EXPECT_NEAR(alone->groups[0].metrics[0].p_worse, 1.0 / 924, 1e-9);
  EXPECT_NEAR(among->groups[0].metrics[0].p_worse, 4.0 / 924, 1e-9);
  EXPECT_EQ(among->verdict, GateVerdict::kRegressed);
}

TEST(Compare, WhatDiffersIsRefused) {
  auto baseline = made_samples("latency_p50", around(100, 0.01));
  auto candidate = made_samples("latency_p50", around(100, 0.01));
  for (RunSample& sample : candidate) sample.conditions[1].second = "16";
  auto report = compare_runs(baseline, candidate, {});
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("the load differs: connections 8 and 16"),
            std::string::npos)
      << report.error().message;
  report = compare_runs(baseline, candidate, {.force = true});
  ASSERT_TRUE(report.ok());
  ASSERT_FALSE(report->warnings.empty());

  candidate = baseline;
  candidate[3].machine[0].second = "another";
  EXPECT_FALSE(compare_runs(baseline, candidate, {}).ok());

  candidate = baseline;
  for (RunSample& sample : candidate) sample.remarks[0].second = "2";
  report = compare_runs(baseline, candidate, {});
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->warnings.size(), 1u);  // once, not for every run
  EXPECT_NE(report->warnings[0].find("version 1 and 2 differ"), std::string::npos);

  candidate = baseline;
  for (RunSample& sample : candidate) sample.group = "other";
  EXPECT_FALSE(compare_runs(baseline, candidate, {}).ok());
  EXPECT_FALSE(compare_runs(baseline, candidate, {.force = true}).ok());  // nothing in common
  EXPECT_FALSE(compare_runs(baseline, {}, {}).ok());
  EXPECT_FALSE(compare_runs(baseline, baseline, {.metrics = {"nope"}}).ok());
  EXPECT_FALSE(compare_runs(baseline, baseline, {.metrics = {"ttft_p50"}}).ok());
}

TEST(Compare, ABrokenCandidateHasRegressed) {
  const auto baseline = made_samples("latency_p50", around(100, 0.01));
  auto candidate = baseline;
  for (size_t i = 0; i < 6; ++i) {
    candidate[i].state = SampleState::kFailed;
    candidate[i].figures = {{"error_rate", 1}};
    candidate[i].conditions = {{"connections", ""}};  // a run that reached nothing tells little
  }
  auto report = compare_runs(baseline, candidate, {});
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->verdict, GateVerdict::kRegressed);
  EXPECT_NE(gate_verdict_text(*report).find("6 of 10 candidate runs failed"), std::string::npos);
  for (RunSample& sample : candidate) sample.state = SampleState::kFailed;
  report = compare_runs(baseline, candidate, {});
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->verdict, GateVerdict::kRegressed);
  // A baseline that never worked is nothing to compare with.
  EXPECT_FALSE(compare_runs(candidate, baseline, {}).ok());
  // What the user cut short says nothing.
  for (RunSample& sample : candidate) sample.state = SampleState::kInterrupted;
  EXPECT_FALSE(compare_runs(baseline, candidate, {}).ok());
}

TEST(GateReport, TellsTheSameInEveryForm) {
  const auto report = compare_runs(made_samples("latency_p95", around(100, 0.02)),
                                   made_samples("latency_p95", around(112, 0.02)), {});
  ASSERT_TRUE(report.ok());
  const std::string text = gate_text(*report);
  EXPECT_NE(text.find("verdict: regressed: latency p95 of http +12.0 %"), std::string::npos)
      << text;
  const std::string markdown = gate_markdown(*report);
  EXPECT_NE(markdown.find("### ❌ Performance: regressed"), std::string::npos) << markdown;
  EXPECT_NE(markdown.find("| latency p95 | 100 ms | 112 ms | +12.0 % |"), std::string::npos)
      << markdown;
  const auto json = gate_json(*report);
  EXPECT_EQ(json["verdict"], "regressed");
  EXPECT_EQ(json["groups"][0]["metrics"][0]["metric"], "latency_p95");
  EXPECT_NEAR(json["groups"][0]["metrics"][0]["change"].get<double>(), 0.12, 1e-9);
}

}  // namespace
}  // namespace sis::perf
