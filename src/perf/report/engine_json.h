// The parts of a run's JSON that come from the engine: where the time of requests went, parts of a
// mix, windows, how well an open loop kept its schedule, rule and level.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "perf/load/run.h"

namespace sis::perf {

// Adds http_ms, schedule, parts, windows, stop_rule, stable and level, each where the run has it.
void add_engine_json(const RunOptions& options, const RunResult& result,
                     nlohmann::ordered_json& out);

// "constant 500 requests/s", "Poisson, rising and falling up to 500 requests/s", "1,000 due times".
std::string rate_text(const RunOptions& options);

// How well an open loop kept its schedule.
struct ScheduleFigures {
  uint64_t due = 0, sent = 0;
  double late_share = 0;  // of the sends: more than 1 ms later than a free connection allowed
  double error_ms = 0;    // mean of all delays between due time and send, whoever caused them
};
ScheduleFigures schedule_figures(const Tally& tally);

}  // namespace sis::perf
