// --threshold of the bench commands: the flag, the watch while a run goes on, the judgement at its
// end.
#pragma once

#include <cstdio>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "perf/bench/flags.h"
#include "perf/gate/thresholds.h"

namespace sis::perf {

struct ThresholdFlags {
  Thresholds thresholds;
  // The first wrong one. Kept instead of refused at once, because its exit code is another
  // (kExitBadThreshold) than that of wrong flags.
  std::optional<Error> wrong;

  void add_to(FlagSet& flags);
  // Also whether the workload has the scenarios that are named.
  Status check(const Workload& workload) const;
};

// One run under thresholds. Must outlive the run whose options it watches.
class ThresholdRun {
 public:
  ThresholdRun(const ThresholdFlags& flags, const Workload& workload);

  // `options` with a watch for abortOnFail beside their own on_window.
  RunOptions watched(RunOptions options);
  // Adds the results to the run's JSON and prints them. The exit code they stand for: 0 or 99.
  int judge(nlohmann::ordered_json& run, std::FILE* out) const;

 private:
  const Thresholds& thresholds_;
  std::unique_ptr<ThresholdWatch> watch_;
};

}  // namespace sis::perf
