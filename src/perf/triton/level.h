// One level of load, measured in windows until it is stable: perf_analyzer's procedure on our
// engine.
//
// A window is 1.2 times --measurement-interval long, or lasts until enough requests ended, looked
// at every second. Only requests that end within it count, whenever they were sent; latency counts
// from the actual send. The server's statistics are read at every window's end. The result is the
// merge of the last three windows, or everything with --request-count.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "perf/load/run.h"
#include "perf/triton/gpu_metrics.h"
#include "perf/triton/model.h"
#include "perf/triton/server_stats.h"
#include "perf/triton/settings.h"
#include "perf/triton/stability.h"

namespace sis::perf {

// One window, or several merged.
struct Measured {
  Tally tally;
  double length_s = 0;
  ServerStats server;
  GpuMetrics gpu;

  void merge(const Measured& other);
};

struct PerfLevel {
  double value = 0;  // concurrency or requests/s
  bool stable = false, over_limit = false;
  Measured measured;       // meaningful when stable
  double per_s = 0;        // inferences
  double latency_ms = 0;   // that stability and limit look at
  int windows = 0;         // measured until then
  bool saturated = false;  // the generator was: the figures are its own
  std::string warning;     // about the statistics
  RunOptions options;      // as it was run
  RunResult run;           // all of it
};

struct LevelContext {
  const PerfSettings& settings;
  const PerfModel* model = nullptr;  // null: no statistics of the server
  const Workload& workload;          // of the measured phase
  const Workload& warm_up;           // the same, or what it wraps
  const std::atomic<bool>* stop = nullptr;
  std::function<void(const std::string&)> pass;  // verbose: a line after each window
  std::function<void(const std::string&)> warn;
  std::function<void(TimePoint)> on_boundary;  // window ends, for the profile export
};

// What cannot go on: the exit code of the command goes with it.
struct LevelFailure {
  Error error;
  int exit_code = 99;
};
inline constexpr int kPerfOk = 0, kPerfUnstable = 2, kPerfEmptyWindow = 3, kPerfFailed = 99;

// `value`: requests in flight or requests/s, as the settings' mode says. False with `failure` set
// when the level cannot be measured: requests fail, windows stay empty, the server is gone.
bool measure_level(const LevelContext& context, double value, PerfLevel& level,
                   LevelFailure& failure);

// Latencies from the actual send.
const Histogram& send_latency(const Tally& tally);

// Due times from a file of gaps in us, gone through over and over until `length`; `per_s` is the
// mean rate. Errors name file and line.
Result<std::shared_ptr<const TraceTimes>> read_intervals(const std::string& path, Duration length,
                                                         double& per_s);

}  // namespace sis::perf
