// A whole load run: the event loops' threads, their common start, progress, and the merged result.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/profile.h"
#include "perf/load/schedule.h"
#include "perf/load/tally.h"
#include "perf/load/workload.h"

namespace sis::perf {

// Times at which requests are due, after the start of the run, rising.
using TraceTimes = std::vector<Duration>;

// What came in between two moments of the measured phase.
struct Window {
  int number = 0;
  double start_s = 0, length_s = 0;
  int users = 0;             // at its end: connections that may send
  Tally total;               // answers that ended within it, whenever they were sent
  std::vector<Tally> parts;  // one for each part of the workload when it has several
};

// A window in a few numbers, for reports. Times in ms, of good answers.
struct WindowRow {
  double start_s = 0, length_s = 0;
  int users = 0;
  uint64_t requests = 0, failures = 0;
  double requests_per_s = 0;  // good answers
  double mean_ms = 0, p50_ms = 0, p95_ms = 0, p99_ms = 0, max_ms = 0;
  bool generated = false;  // answers were generated text: the following are known
  double ttft_p50_ms = 0, ttft_p99_ms = 0, output_tokens_per_s = 0;
};
inline constexpr size_t kWindowRowsMax = 86400;
WindowRow window_row(const Window& window);

struct RunOptions {
  net::Url url;
  bool verify_tls = false;
  int connections = 5;
  int threads = 1;
  int pipeline = 1;
  bool keep_alive = true;
  Duration timeout = from_seconds(30);
  Duration give_up_after = from_seconds(10);
  // Closed loop: `connections` users, or as many as the profile says at each moment, or as many as
  // `users_now` holds at each moment (`connections` is then the most there may be; a profile raises
  // it to its highest level). A user that is taken away finishes its request. After an answer a
  // user thinks for a time drawn evenly from think_min..think_max.
  Profile users;
  const std::atomic<int>* users_now = nullptr;
  Duration think_min{}, think_max{};
  // Open loop when one of these is given: a rate, a rate over time, or due times.
  double rate = 0;  // requests/s
  Profile rates;
  std::shared_ptr<const TraceTimes> trace;
  int burst = 1;  // requests that are due together; the rate stays
  Arrivals arrivals = Arrivals::kConstant;
  uint64_t seed = 1;
  uint64_t first_index = 0;  // of the requests: a run after another may go on where that ended
  uint64_t requests = 20;    // 0: only the duration ends the run
  // Closed loop with a steady number of users: each sends so many requests, then leaves; instead of
  // `requests`. 0: no limit.
  uint64_t requests_per_user = 0;
  Duration duration{};
  uint64_t warmup_requests = 0;
  Duration warmup_duration{};
  Slo slo;  // counted, not enforced
  size_t errors_max = 1;
  int first_cpu = -1;  // pin the loops to this core and the following ones
  // Poll without sleeping: being woken costs 50 us and more, which otherwise counts as latency and
  // makes sends late. Takes the whole core.
  bool spin = false;
  // The measured phase in windows: `on_window` gets each as it ends, on the calling thread, and
  // ends the run by returning false. What is in flight then is waited for. Answers that come after
  // the end of sending make further windows; the last one may be short. 0: no windows.
  Duration window = from_seconds(1);
  std::function<bool(const Window&)> on_window;
  // Between warm-up and measured phase, when there is a warm-up: no request is on its way. Called
  // once, on a thread of the run, which waits for it.
  std::function<void()> on_warmed_up;

  bool is_open() const { return rate > 0 || !rates.empty() || trace != nullptr; }
};

struct Progress {
  bool warming = false;
  double elapsed_s = 0;  // of the measured phase
  uint64_t ok = 0, failed = 0;
  double latency_sum_ms = 0;
  int users = 0;  // connections that may send now
};

// What a rule on the windows (stop_rules.h) made of a run.
struct StopReport {
  std::string rule;  // "stable(10%,3)"
  bool met = false;
  std::string detail;
};

// Of a sweep: the one of several runs with more and more load.
struct Level {
  std::string name;  // "concurrency", "request_rate"
  double value = 0;
};

struct RunResult {
  Tally tally;
  std::vector<Tally> parts;  // one for each part of the workload when it has several
  std::vector<std::string> part_names;
  // Of the whole run, at most kWindowRowsMax; a short rest at the end belongs to the last one.
  std::vector<WindowRow> windows;
  bool ended_by_rule = false;  // on_window said so
  std::optional<StopReport> stop_rule;
  std::optional<bool> stable;  // of a rule that wants it
  std::optional<Level> level;
  uint64_t next_index = 0;  // no request had this number or a higher one
  std::string peer;         // the address that was used
  int threads = 1;
  int cores = 0;  // that the generator could run on; 0: unknown
};

// Blocks until the run is over or `stop` is set. `show` is called about five times a second from
// this thread. Errors: the host has no address, nothing listens, TLS fails. Only the URL's host is
// contacted.
Result<RunResult> run_load(const RunOptions& options, const Workload& workload,
                           const std::atomic<bool>* stop,
                           const std::function<void(const Progress&)>& show);

}  // namespace sis::perf
