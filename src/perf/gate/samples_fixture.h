// Made-up runs for tests of the gate.
#pragma once

#include <string>
#include <vector>

#include "perf/gate/samples.h"

namespace sis::perf {

inline RunSample made_sample(Figures figures) {
  return {.group = "http",
          .conditions = {{"loop", "closed"}, {"connections", "8"}},
          .machine = {{"cpu", "a fine one"}, {"cores", "2"}},
          .remarks = {{"version", "1"}},
          .figures = std::move(figures),
          .origin = "made.json"};
}

// One run for each value of one metric.
inline std::vector<RunSample> made_samples(const std::string& metric,
                                           const std::vector<double>& values) {
  std::vector<RunSample> out;
  for (const double value : values) out.push_back(made_sample({{metric, value}}));
  return out;
}

}  // namespace sis::perf
