// Whether a candidate is slower than a baseline, given runs of both on a noisy machine.
//
// For each metric: the ratio of the medians over runs with a bootstrap interval (the difference of
// the means for the error rate), an exact rank test, and a verdict. The rank tests of all metrics
// together are held to one level by Holm's adjustment, so that the chance of any false alarm stays
// below `alpha` however many metrics there are; a change below `min_effect` is never an alarm.
//
// A single run a side is compared by its time windows in blocks. That sees the noise within a run
// and not the noise between runs, and the report warns of it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "perf/gate/samples.h"
#include "perf/gate/statistics.h"

namespace sis::perf {

// So many runs a side find a change of +10 % in 95 of 100 cases on a machine whose runs differ by
// 3 % and of which one in 20 is 30 % off (compare_noise_test.cc).
inline constexpr int kRunsDefault = 14;

struct GateOptions {
  double min_effect = 0.05;        // least ratio - 1 that matters
  double min_error_share = 0.005;  // least difference of error rates that matters
  double alpha = 0.02;             // chance of any false alarm, over all metrics
  double confidence = 0.95;        // of the intervals
  int draws = 4000;                // of the bootstrap
  uint64_t seed = 1;
  std::vector<std::string> metrics;  // empty: all that both sides have
  bool force = false;                // compare what differs in load or machine
};

enum class GateVerdict : uint8_t { kSame, kImproved, kTooNoisy, kRegressed };
const char* gate_verdict_name(GateVerdict verdict);

struct MetricComparison {
  const GateMetric* metric = nullptr;
  size_t baseline_values = 0, candidate_values = 0;
  double baseline = 0, candidate = 0;  // medians over runs; means for shares
  double change = 0;                   // candidate / baseline - 1; for shares the difference
  Interval interval;                   // of the change
  double p_worse = 1, p_better = 1;    // adjusted for all metrics
  GateVerdict verdict = GateVerdict::kSame;
  int runs_needed = 0;  // a side, when too noisy; 0: more would not help
  std::string note;
};

struct GroupComparison {
  std::string group;
  size_t baseline_runs = 0, candidate_runs = 0, baseline_failed = 0, candidate_failed = 0;
  bool from_windows = false;
  bool broken = false;  // most candidate runs failed and the baseline's did not
  std::vector<MetricComparison> metrics;
};

struct GateReport {
  GateOptions options;
  std::vector<GroupComparison> groups;
  std::vector<std::string> warnings;
  GateVerdict verdict = GateVerdict::kSame;  // the worst one
};

// kInvalidArgument when there is nothing to compare or, without `force`, when load or machine
// differ.
Result<GateReport> compare_runs(const std::vector<RunSample>& baseline,
                                const std::vector<RunSample>& candidate,
                                const GateOptions& options);

}  // namespace sis::perf
