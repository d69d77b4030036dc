// What the server counted between two looks at its statistics, for a model and those it calls.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "perf/join/kserve_stats.h"
#include "perf/triton/model.h"

namespace sis::perf {

struct ServerStats {
  ModelStats own;
  std::map<ModelKey, ServerStats> children;  // by name and the version that moved

  void add(const ServerStats& other);  // of the same models, later
};

// The version of a model that was left open is the highest whose queue count grew. Errors: none
// grew; counts of the compute stages that differ. `warning` is set when several versions moved or
// the server began again.
Result<ServerStats> summarize_statistics(const PerfModel& model, const StatsPage& before,
                                         const StatsPage& after, std::string& warning);

// Means in us of a composed model: sums over the models at the bottom.
struct ComposedTimes {
  uint64_t queue_us = 0, compute_us = 0, cache_hit_us = 0, cache_miss_us = 0;
  uint64_t combined_us = 0;  // compute and cache per request
};
ComposedTimes composed_times(const ServerStats& stats);

// Mean of the three compute stages together, in us.
uint64_t compute_mean_us(const ModelStats& stats);

}  // namespace sis::perf
