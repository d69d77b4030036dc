// Runs of JSON documents as the gate compares them: a handful of figures each, and under which
// conditions they were measured.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sis::perf {

enum class Better : uint8_t { kLower, kHigher };

struct GateMetric {
  const char* name;   // "latency_p95"
  const char* shown;  // "latency p95"
  const char* unit;   // "ms"
  Better better = Better::kLower;
  bool is_share = false;  // 0..1, compared by its difference; others by their ratio
};

std::span<const GateMetric> gate_metrics();
const GateMetric* find_gate_metric(std::string_view name);

// Figures by the name of their metric; those that were not measured are missing.
using Figures = std::map<std::string, double>;
// What was the same during the run: "connections" -> "8".
using Conditions = std::vector<std::pair<std::string, std::string>>;

enum class SampleState : uint8_t {
  kUsable,
  kInterrupted,  // by the user: says nothing of the server
  kFailed,       // no good answer, or the server went away
};

struct RunSample {
  std::string group;      // what it may be compared with: "embeddings mock-embed"
  Conditions conditions;  // of the load: figures under others mean something else
  Conditions machine;     // what it was measured on
  Conditions remarks;     // may differ, and are told then
  SampleState state = SampleState::kUsable;
  std::string reason;  // of its verdict
  bool generator_saturated = false;
  Figures figures;
  std::vector<Figures> windows;  // in order of time; empty when the document has none
  std::string origin;            // the file it came from
  std::string started;
};

// The runs of one document of `sis bench`, without those that only warm up. With `scenario` the run
// of a plan that is called so, or that part of each run. kInvalidArgument when it is no such
// document or a run lacks the scenario.
Result<std::vector<RunSample>> read_samples(const nlohmann::ordered_json& document,
                                            const std::string& origin, const std::string& scenario);

// Reads and parses a JSON file: at most 256 MB, at most 64 levels deep.
Result<nlohmann::ordered_json> read_document_file(const std::string& path);

}  // namespace sis::perf
