// What every `sis bench` command shares: how load is put on, where results go, how a run is
// reported.
#pragma once

#include <atomic>
#include <cstdio>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "perf/bench/flags.h"
#include "perf/bench/levels.h"
#include "perf/gate/threshold_flag.h"
#include "perf/load/run.h"
#include "perf/load/stop_rules.h"
#include "perf/report/report_files.h"
#include "perf/report/summary.h"

namespace sis::perf {

// The surroundings of a command, so that tests can give their own.
struct BenchContext {
  Environment environment;
  std::FILE* out = stdout;       // reports
  std::FILE* messages = stderr;  // progress and complaints
  const std::atomic<bool>* stop = nullptr;
  std::string command;  // as typed, for the JSON; secrets are taken out
};

inline constexpr int kExitOk = 0, kExitFailed = 1, kExitUsage = 2;

// Over which levels a command runs; `values` has one when there is nothing to sweep.
struct Sweep {
  std::string name;  // "concurrency" or "request_rate"; empty: one run that is no level
  std::vector<double> values;
  std::optional<LevelSearch> search;
};

// Values of the flags as they are typed; resolve() turns them into RunOptions.
struct LoadFlags {
  int64_t requests = 20, threads = 1, pipeline = 1, seed = 1;
  Levels concurrencies{.values = {5}};
  Levels rates;  // no values: no open loop at a rate
  std::optional<LatencyLimit> search;
  Profile users, rate_stages;
  TimeRange think;
  std::string trace;
  int64_t burst = 1;
  Duration window = from_seconds(1);
  std::optional<StopRule> stop_when;
  std::string arrivals = "constant";
  Duration duration{}, timeout = from_seconds(30);
  uint64_t warmup_requests = 0;
  Duration warmup_duration{};
  bool verify_ssl = false, verbose = false, keep_alive = true, spin = false, progress = true;
  std::string json;
  std::string server_metrics;  // "": try the server's own; off; a URL
  Duration server_metrics_every = from_seconds(1);
  ThresholdFlags thresholds;
  ReportFiles reports;

  void add_to(FlagSet& flags);
  // With several levels, the options are those of the first. Reports that cannot be written are a
  // fault already here.
  Result<RunOptions> resolve(const FlagSet& flags, const net::Url& url) const;
  // Whether write_json() could write now what is wanted: told before a run, not after it.
  Status check_reports() const;
  Sweep sweep() const;

 private:
  Status check_shape(const RunOptions& options) const;
};

// For commands that take flags only: parses them. An exit code when the command is done with that:
// wrong flags, or help was wanted.
std::optional<int> parse_flags(const BenchContext& context, FlagSet& flags,
                               const std::vector<std::string>& arguments);

// Runs once for each level, shows progress, prints the summaries and, after several, a table of
// them; appends the JSON of each to `runs`. The highest exit code of the runs.
int run_and_report(const BenchContext& context, const LoadFlags& flags, const RunOptions& options,
                   const RunLabel& label, const Workload& workload, nlohmann::ordered_json& runs);

// Writes the files that were asked for with --json, --html and their like; kExitFailed when one
// cannot be written.
int write_json(const BenchContext& context, const LoadFlags& flags, const std::string& started,
               const nlohmann::ordered_json& runs);

int complain(const BenchContext& context, const Error& error, int exit_code);

// A run must not find the texts of the run before it in a cache, so the numbers of distinct texts
// begin at the time of day.
uint64_t salt_of_now();

// `arguments` as one shell-like line, values of secret flags replaced by ***.
std::string shown_command(const std::vector<std::string>& arguments);

}  // namespace sis::perf
