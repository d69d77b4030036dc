// The end of a plan's run on the screen, as k6 users know it: thresholds, totals, scenarios.
#pragma once

#include <string>

#include "perf/plan/run_plan.h"

namespace sis::perf {

// "running (0m10.0s/0m30.0s), 05/10 VUs, 1,234 requests, 0 failed"
std::string plan_progress_line(const PlanProgress& progress);
// Limits with ticks and crosses, the total of the measured scenarios in k6's words and units.
std::string plan_totals_text(const PlanResult& result);
// Milliseconds as k6 writes times: "815.9µs", "12.35ms", "1.2s", "1m30s".
std::string k6_time_text(double ms);

}  // namespace sis::perf
