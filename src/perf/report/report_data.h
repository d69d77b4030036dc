// What a result document says, checked and typed: every report is made from this, so that a file
// from a stranger and a run that has just ended go the same way.
//
// Times are in ms unless the name says otherwise. What a document leaves out is empty or absent.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "perf/report/histogram_data.h"

namespace sis::perf {

using Counts = std::vector<std::pair<std::string, uint64_t>>;
using Facts = std::vector<std::pair<std::string, double>>;
using Words = std::vector<std::pair<std::string, std::string>>;

// One second or so of a run.
struct WindowData {
  double start_s = 0, length_s = 1;
  std::optional<double> users;
  uint64_t requests = 0, failures = 0;  // answers that ended in it
  double requests_per_s = 0;
  std::optional<double> mean_ms, p50_ms, p95_ms, p99_ms, max_ms;
  std::optional<double> ttft_p50_ms, ttft_p99_ms, output_tokens_per_s;
};

struct HttpTimesData {
  HistogramData connecting, tls_handshaking, sending, waiting, receiving;

  bool empty() const { return sending.empty() && waiting.empty() && receiving.empty(); }
};

struct PartData {
  std::string name;
  uint64_t requests = 0, successes = 0, failures = 0;
  double requests_per_s = 0;
  HistogramData latency, service;
  HttpTimesData http;
};

struct ThresholdData {
  std::string metric, threshold;  // "http_req_duration", "p(95)<200"
  std::optional<double> value;    // absent: there was nothing to judge
  bool ok = true;
};

// What the server told of itself: every number under its path, "queue_ms" or
// "models.decoder.queue_ms"; of a histogram the mean.
struct ServerData {
  std::string kind;
  Facts facts;
  Words words;

  std::optional<double> find(std::string_view name) const;
};

struct ErrorData {
  uint64_t request = 0;
  double at_s = 0;
  std::string message;
};

struct RunData {
  std::string what, model, url, peer, load, loop, arrivals, verdict, verdict_reason;
  std::string scenario;                    // of a plan; empty: it is of none
  bool warmup = false;                     // a plan's scenario that is not in its totals
  std::optional<double> began_s, ended_s;  // after the plan's start
  bool measured = false;                   // false: the run could not begin
  uint64_t connections = 0, threads = 0, pipeline = 0, seed = 0;
  bool keep_alive = true;
  std::optional<double> rate;  // wanted, open loop
  std::optional<double> level_concurrency, level_rate;
  std::optional<bool> stable;
  double timeout_s = 0, duration_wanted_s = 0, warmup_s = 0;
  uint64_t requests_wanted = 0, warmup_requests = 0;

  uint64_t requests = 0, successes = 0, failures = 0, unsent = 0, abandoned = 0;
  uint64_t connects = 0, connect_failures = 0, resent = 0, bytes_out = 0, bytes_in = 0;
  Counts failures_by_kind, statuses, error_counts;
  std::vector<ErrorData> errors;
  double wall_s = 0, requests_per_s = 0;
  Facts rates;  // others per second: "texts" -> 495, "prompt_tokens" -> 3465

  HistogramData latency, service, failed, late, waited;
  // Empty when everything due was sent: how long those never sent had waited, and the least that
  // the latency of all was.
  HistogramData unsent_waited, latency_all_due;
  HttpTimesData http;

  HistogramData ttft, itl, tpot;
  std::optional<double> output_tokens, prompt_tokens;
  std::optional<double> goodput_share, goodput_per_s, slo_ttft_ms, slo_itl_ms;

  std::vector<WindowData> windows;
  std::vector<PartData> parts;
  std::vector<ThresholdData> thresholds;
  std::vector<ServerData> servers;
  std::string stop_rule, stop_detail;
  bool stop_met = false;
  std::optional<double> generator_cpu_share;  // of the busiest thread

  bool open_loop() const { return loop == "open"; }
  double failed_share() const {
    return requests > 0 ? static_cast<double>(failures) / static_cast<double>(requests) : 0;
  }
  std::string title() const;  // "chat demo", with the level when it is one of a sweep
  std::optional<double> level() const;
  // What a limit on latency must hold against: requests that were never sent are no excuse.
  const HistogramData& latency_to_judge() const {
    return latency_all_due.empty() ? latency : latency_all_due;
  }
  // From the actual send: the same as latency in a closed loop.
  const HistogramData& service_times() const { return service.empty() ? latency : service; }
};

struct Report {
  std::string tool, version, command, started, cpu, kernel;
  uint64_t cores = 0;
  double memory_gb = 0;
  std::vector<RunData> runs;

  // Runs at several levels of one load: all have a level, of the same kind.
  bool is_sweep() const;
};

// Checks a document. The error names the place: "runs[2].latency_ms.p99: want a number, found a
// string". Unknown keys are skipped.
Result<Report> parse_report(const nlohmann::ordered_json& document);
// The same for a file, which may be anybody's: bounded in size and depth.
Result<Report> read_report(const std::string& path);
// The document itself, unchecked beyond size and depth.
Result<nlohmann::ordered_json> read_document(const std::string& path);

}  // namespace sis::perf
