// Thresholds on the metrics of a run, in k6's grammar: parsed, checked while the run goes on and at
// its end, shown, and turned into the exit code that k6 would give.
//
//   Thresholds thresholds;
//   SIS_TRY(thresholds.add_flag("http_req_duration{scenario:load_test}:p(95)<500"));
//   const auto results = thresholds.evaluate(run);   // a run of the JSON document
//   run["thresholds"] = thresholds_json(results);
//
// A metric without samples passes, as in k6; its result says so. Unlike k6, a counter that nothing
// was added to is 0 and is compared.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "perf/gate/metric.h"
#include "perf/load/run.h"

namespace sis::perf {

// k6's exit codes.
inline constexpr int kExitThresholdsCrossed = 99, kExitBadThreshold = 104, kExitInterrupted = 105;

struct AbortRule {
  bool abort_on_fail = false;  // otherwise the run goes on and fails at its end
  Duration delay{};            // not before so much of the run is over
};

struct ThresholdRule {
  MetricName metric;
  ThresholdExpression expression;
  AbortRule abort;
};

struct ThresholdResult {
  std::string metric, threshold, aggregate;  // "http_req_duration", "p(95)<500", "p(95)"
  MetricKind kind = MetricKind::kTrend;
  std::optional<double> value;  // nothing: there were no samples
  bool ok = true;
  bool aborted = false;  // this one ended the run early
};

class Thresholds {
 public:
  static constexpr size_t kRulesMax = 1000;

  Status add(std::string_view metric, std::string_view expression, AbortRule abort = {});
  // "http_req_duration{scenario:x}:p(95)<500", then ",abortOnFail" and ",delayAbortEval=10s" if
  // wanted.
  Status add_flag(std::string_view text);
  // As in k6's options: {"METRIC": ["EXPR", {"threshold": "EXPR", "abortOnFail": true,
  // "delayAbortEval": "10s"}, ...], ...}.
  Status add_json(const nlohmann::ordered_json& thresholds);
  // A scenario that does not exist would never have samples and always pass.
  Status check_scenarios(const std::vector<std::string>& names) const;

  bool empty() const { return rules_.empty(); }
  bool may_abort() const;
  const std::vector<ThresholdRule>& rules() const { return rules_; }

  std::vector<ThresholdResult> evaluate(const nlohmann::ordered_json& run) const;

 private:
  std::vector<ThresholdRule> rules_;
};

bool all_met(const std::vector<ThresholdResult>& results);
// [{metric, threshold, value (null: no samples), ok}]
nlohmann::ordered_json thresholds_json(const std::vector<ThresholdResult>& results);
// For people: a tick or a cross, the expression and the value found, by metric.
std::string thresholds_text(const std::vector<ThresholdResult>& results);

// Checks the rules with abortOnFail while a run goes on. For RunOptions::on_window; that thread
// only.
class ThresholdWatch {
 public:
  // `part_names`: as the workload calls its parts; for rules with {scenario:NAME}.
  ThresholdWatch(const Thresholds& thresholds, std::vector<std::string> part_names);

  // False when the run should end.
  bool take(const Window& window);
  // The rules that ended the run; empty when none did.
  const std::vector<ThresholdResult>& crossed() const { return crossed_; }

 private:
  std::vector<ThresholdRule> rules_;  // those that may abort
  std::vector<std::string> part_names_;
  std::unique_ptr<Tally> total_;
  std::vector<Tally> parts_;
  std::vector<ThresholdResult> crossed_;
};

}  // namespace sis::perf
