// A whole load run: the event loops' threads, their common start, progress, and the merged result.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/schedule.h"
#include "perf/load/tally.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct RunOptions {
  net::Url url;
  bool verify_tls = false;
  int connections = 5;
  int threads = 1;
  int pipeline = 1;
  bool keep_alive = true;
  Duration timeout = from_seconds(30);
  Duration give_up_after = from_seconds(10);
  double rate = 0;  // requests/s; 0: closed loop
  Arrivals arrivals = Arrivals::kConstant;
  uint64_t seed = 1;
  uint64_t requests = 20;  // 0: only the duration ends the run
  Duration duration{};
  uint64_t warmup_requests = 0;
  Duration warmup_duration{};
  Slo slo;  // counted, not enforced
  size_t errors_max = 1;
  int first_cpu = -1;  // pin the loops to this core and the following ones
};

struct Progress {
  bool warming = false;
  double elapsed_s = 0;  // of the measured phase
  uint64_t ok = 0, failed = 0;
  double latency_sum_ms = 0;
};

struct RunResult {
  Tally tally;
  std::string peer;  // the address that was used
  int threads = 1;
};

// Blocks until the run is over or `stop` is set. `show` is called about five times a second from
// this thread. Errors: the host has no address, nothing listens, TLS fails. Only the URL's host is
// contacted.
Result<RunResult> run_load(const RunOptions& options, const Workload& workload,
                           const std::atomic<bool>* stop,
                           const std::function<void(const Progress&)>& show);

}  // namespace sis::perf
