// The statistics extension of KServe v2 (GET /v2/models[/M]/stats): parsing and differences.
//
// Counts of success, queue and compute are per request, inference_count per batch element,
// execution_count per run of the model. Fields that are missing count as 0; numbers may be signed
// or unsigned JSON numbers below 2^63. At most kStatsModelsMax models. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace sis::perf {

struct StageStats {
  uint64_t count = 0, ns = 0;

  uint64_t mean_us() const { return count == 0 ? 0 : ns / count / 1000; }
};

struct ModelStats {
  uint64_t inference_count = 0, execution_count = 0;
  StageStats success, fail, queue, compute_input, compute_infer, compute_output, cache_hit,
      cache_miss;

  // `before` taken off; what fell is taken as it is now and sets `reset`.
  ModelStats since(const ModelStats& before, bool& reset) const;
  void add(const ModelStats& other);
  // As a `server` object's figures: means in ms, counts, shares.
  nlohmann::ordered_json json() const;
};

using ModelKey = std::pair<std::string, std::string>;  // name, version
using StatsPage = std::map<ModelKey, ModelStats>;

inline constexpr size_t kStatsModelsMax = 4096;

Result<StatsPage> parse_kserve_stats(std::string_view body);

}  // namespace sis::perf
