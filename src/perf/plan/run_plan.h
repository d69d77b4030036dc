// Runs a plan: every scenario is a load run of its own on a thread of its own, begun at its start
// time, watched by the calling thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "perf/plan/plan.h"
#include "perf/plan/plan_limits.h"
#include "perf/report/summary.h"

namespace sis::perf {

struct ScenarioResult {
  const PlanScenario* scenario = nullptr;
  RunLabel label;
  RunOptions options;
  std::optional<Result<RunResult>> outcome;  // nothing: it never began
  double began_s = 0, ended_s = 0;           // after the plan's start
};

struct PlanResult {
  std::vector<ScenarioResult> scenarios;
  std::vector<ThresholdResult> limits;
  std::vector<ScenarioFigures> figures;  // of all scenarios, when they ended
  bool interrupted = false;              // by a person
  bool aborted = false;                  // by a limit
  double seconds = 0;
};

struct PlanProgress {
  double elapsed_s = 0, length_s = 0;
  int users = 0, users_max = 0;
  uint64_t requests = 0, failures = 0;
  int scenarios_running = 0, scenarios_waiting = 0;
};

// Errors: a workload that cannot be made. A server that cannot be reached is an outcome. `show` is
// called several times a second from this thread. Blocks.
Result<PlanResult> run_plan(const Plan& plan, const PlanLimits& limits,
                            const std::atomic<bool>* stop, uint64_t salt,
                            const std::function<void(const PlanProgress&)>& show);

}  // namespace sis::perf
