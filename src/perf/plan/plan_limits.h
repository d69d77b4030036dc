// The thresholds of a plan on all its scenarios together: k6's metrics, narrowed by the scenarios'
// tags and the tasks' names.
//
//   http_req_duration                   every measured scenario
//   http_req_duration{scenario:load}    one scenario, also one that warms up
//   http_req_duration{phase:peak}       the scenarios with this tag
//   http_req_waiting{task:/predict}     one task, wherever it is
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "perf/gate/thresholds.h"
#include "perf/plan/plan.h"

namespace sis::perf {

// What a scenario has measured so far, or in all.
struct ScenarioFigures {
  const PlanScenario* scenario = nullptr;
  Tally total;
  std::vector<Tally> tasks;        // by task, when there are several
  double from_s = 0, until_s = 0;  // of the plan's time; equal: not begun
  int users = 0;
};

class PlanLimits {
 public:
  // Errors name the plan's file and line.
  static Result<PlanLimits> create(const Plan& plan);

  bool empty() const { return limits_.empty(); }
  bool may_abort() const;
  std::vector<ThresholdResult> judge(std::span<const ScenarioFigures> figures) const;
  // Only limits that end the plan when crossed and whose delay is over.
  std::vector<ThresholdResult> crossed(std::span<const ScenarioFigures> figures,
                                       Duration since_start) const;
  // Whether limit i (in the order of judge()) is about this scenario, and no other.
  bool about(size_t limit, const PlanScenario& scenario) const;

 private:
  struct Limit {
    std::string metric;               // as written
    MetricName name;                  // without the tags below
    std::vector<MetricTag> scenario;  // tags of scenarios
    std::string task;
    ThresholdExpression expression;
    AbortRule abort;
  };
  static bool matches(const Limit& limit, const PlanScenario& scenario);
  static ThresholdResult judge_one(const Limit& limit, std::span<const ScenarioFigures> figures);

  std::vector<Limit> limits_;
};

}  // namespace sis::perf
