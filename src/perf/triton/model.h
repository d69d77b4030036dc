// What `sis perf` must know of a model before it sends: its tensors, whether it is an ensemble and
// of what, whether answers may come from a cache, and whether the server keeps statistics.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "perf/join/kserve_stats.h"
#include "perf/load/kserve_model.h"
#include "perf/triton/settings.h"

namespace sis::perf {

// A model that another one calls.
struct ComposingModel {
  ModelKey key;  // its version is empty when the caller leaves it open
  std::vector<ComposingModel> children;
};

struct PerfModel {
  KServeModel tensors;
  std::string version;      // asked for; may be empty
  bool composed = false;    // an ensemble, or a BLS model whose models were named
  bool cache = false;       // it or a model it calls has a response cache
  bool own_cache = false;   // itself
  bool statistics = false;  // the server's extension
  std::vector<ComposingModel> children;
};

inline constexpr int kComposingDepthMax = 16;
inline constexpr size_t kComposingMax = 256;

KServeServer server_of(const PerfSettings& settings);

// Asks the server, in perf_analyzer's order: metadata, configuration, those of composing models,
// the server's extensions. Errors: no such model; fields that are missing; ensembles that are too
// deep, too wide or call themselves.
Result<PerfModel> fetch_perf_model(const PerfSettings& settings);

// The statistics of the model, or of all models when it is composed.
Result<StatsPage> fetch_statistics(const PerfSettings& settings, const PerfModel& model);

}  // namespace sis::perf
