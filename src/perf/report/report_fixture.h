// Documents for the tests of reports.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>
#include <vector>

#include "perf/report/histogram.h"
#include "perf/report/histogram_text.h"
#include "perf/report/report_data.h"

namespace sis::perf {

using Json = nlohmann::ordered_json;

// (ms, how often)
inline Json times_json(const std::vector<std::pair<double, uint64_t>>& values) {
  Histogram histogram;
  for (const auto& [ms, count] : values) histogram.record(from_ms(ms), count);
  return histogram_json(histogram, true);
}

// 1000 requests in 10 s, 990 of them good: 900 of 10 ms, 81 of 50 ms, 9 of 400 ms.
inline Json run_json() {
  Json run = {{"what", "embeddings"},
              {"model", "demo"},
              {"url", "http://localhost:8000"},
              {"load", "1 text per request"},
              {"loop", "closed"},
              {"connections", 8},
              {"threads", 1},
              {"seed", 1},
              {"timeout_s", 30.0},
              {"duration_wanted_s", 10.0},
              {"requests", 1000},
              {"successes", 990},
              {"failures", 10},
              {"statuses", {{"200", 990}, {"429", 10}}},
              {"failures_by_kind", {{"status", 10}, {"timeout", 0}}},
              {"error_counts", {{"status 429: 'queue is full'", 10}}},
              {"wall_s", 10.0},
              {"requests_per_s", 99.0},
              {"texts", 990},
              {"texts_per_s", 99.0},
              {"bytes_out", 250'000},
              {"bytes_in", 8'200'000},
              {"verdict", "valid"},
              {"verdict_reason", "generator CPU 5 % of a core"}};
  run["latency_ms"] = times_json({{10, 900}, {50, 81}, {400, 9}});
  run["failed_latency_ms"] = times_json({{1, 10}});
  run["http_ms"] = {{"connecting", times_json({{0.2, 8}})},
                    {"tls_handshaking", {{"count", 0}}},
                    {"sending", times_json({{0.5, 990}})},
                    {"waiting", times_json({{9, 990}})},
                    {"receiving", times_json({{0.25, 990}})}};
  run["windows"] = Json::array();
  for (int i = 0; i < 10; ++i)
    run["windows"].push_back({{"start_s", i},
                              {"length_s", 1},
                              {"users", 8},
                              {"requests", i == 5 ? 0 : 111},
                              {"failures", i == 5 ? 0 : 1},
                              {"requests_per_s", i == 5 ? 0 : 110},
                              {"mean_ms", 17.0},
                              {"p50_ms", 10.0},
                              {"p95_ms", 50.0},
                              {"p99_ms", 50.0 + i},
                              {"max_ms", 400.0}});
  return run;
}

inline Json document_of(Json runs) {
  return {
      {"tool", "sis bench"},
      {"version", "1.2.3"},
      {"command", "sis bench embeddings --duration 10s"},
      {"started", "2026-01-31T12:00:00Z"},
      {"machine", {{"cpu", "Test CPU"}, {"cores", 2}, {"memory_gb", 8.4}, {"kernel", "Linux 6"}}},
      {"runs", std::move(runs)}};
}

// Concurrency 1, 2, 4, 8: throughput grows up to 4, latency then doubles.
inline Json sweep_json() {
  Json runs = Json::array();
  for (const auto& [users, rate, ms] :
       {std::tuple(8, 405.0, 20.0), {1, 100.0, 10.0}, {2, 198.0, 10.1}, {4, 390.0, 10.3}}) {
    Json run = run_json();
    run["level"] = {{"concurrency", users}};
    run["requests_per_s"] = rate;
    run["latency_ms"] = times_json({{ms, 990}});
    run["stable"] = users != 8;
    runs.push_back(std::move(run));
  }
  return document_of(std::move(runs));
}

// A run of chats with everything a run can have, and texts that want to be markup.
inline Json hostile_json() {
  Json run = run_json();
  const std::string evil = "<script>alert(1)</script>\"'&\x1b[31m| `x` \n# [a](b) \xff";
  run["what"] = "chat";
  run["model"] = evil;
  run["verdict_reason"] = evil;
  run["error_counts"] = {{evil, 10}};
  run["errors"] = {{{"request", 1}, {"at_s", 0.5}, {"message", evil}},
                   {{"request", 2}, {"at_s", 0.6}, {"message", "</style></title>" + evil}}};
  run["loop"] = "open";
  run["rate"] = 100.0;
  run["arrivals"] = "poisson";
  run["unsent"] = 3;
  run["service_ms"] = times_json({{10, 985}, {50, 5}});
  run["late_ms"] = times_json({{0.01, 1000}});
  run["ttft_ms"] = times_json({{5, 900}, {30, 90}});
  run["itl_ms"] = times_json({{1, 9000}, {2, 900}});
  run["tpot_ms"] = times_json({{1.1, 990}});
  run["output_tokens"] = 10'890;
  run["output_tokens_per_s"] = 1089.0;
  run["prompt_tokens"] = nullptr;
  run["prompt_tokens_per_s"] = nullptr;
  run["goodput"] = {
      {"slo_ttft_ms", 20}, {"slo_itl_ms", nullptr}, {"share", 0.9}, {"requests_per_s", 90.0}};
  for (int i = 0; i < 10; ++i) {
    run["windows"][static_cast<size_t>(i)]["users"] = i;
    run["windows"][static_cast<size_t>(i)]["ttft_p50_ms"] = 5.0;
    run["windows"][static_cast<size_t>(i)]["output_tokens_per_s"] = 1000.0 + i;
  }
  run["parts"] = Json::array();
  for (const std::string name : {"POST /predict", "GET /health", evil.c_str()})
    run["parts"].push_back({{"name", name},
                            {"requests", 333},
                            {"successes", 330},
                            {"failures", 3},
                            {"requests_per_s", 33.0},
                            {"latency_ms", times_json({{10, 320}, {50, 10}})}});
  run["thresholds"] = {
      {{"metric", "http_req_duration"}, {"threshold", "p(95)<200"}, {"value", 50.0}, {"ok", true}},
      {{"metric", "http_req_failed"}, {"threshold", "rate<0.001"}, {"value", 0.01}, {"ok", false}},
      {{"metric", evil}, {"threshold", evil}, {"value", nullptr}, {"ok", true}}};
  run["server"] = {{"kind", evil},
                   {"queue_ms", 2.0},
                   {"prefill_ms", {{"count", 3}, {"mean", 1.5}}},
                   {"decode_ms", 4.0},
                   {"models", {{{"name", evil}, {"queue_ms", 1}}}},
                   {"note", evil}};
  run["stop_rule"] = {{"rule", "three windows"}, {"met", true}, {"detail", evil}};
  Json document = document_of(Json::array({run}));
  document["command"] = evil;
  return document;
}

// A run that could not begin, as run_and_report() notes it.
inline Json failed_json() {
  return document_of(Json::array({{{"what", "embeddings"},
                                   {"url", "http://localhost:1"},
                                   {"verdict", "failed"},
                                   {"verdict_reason", "connection refused"}}}));
}

inline Report report_of(const Json& document) {
  auto report = parse_report(document);
  if (!report.ok()) throw std::runtime_error(report.error().message);
  return std::move(*report);
}

}  // namespace sis::perf
