#include "perf/gate/samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "perf/gate/metric_source.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr uintmax_t kFileBytesMax = uintmax_t{256} << 20;
constexpr int kDepthMax = 64;
constexpr size_t kRunsMax = 10'000, kWindowsMax = 100'000;
constexpr double kWindowLeast_s = 0.5;  // a shorter one at the end is not comparable

constexpr GateMetric kMetrics[] = {
    {"latency_p50", "latency p50", "ms"},
    {"latency_p95", "latency p95", "ms"},
    {"latency_p99", "latency p99", "ms"},
    {"latency_mean", "latency mean", "ms"},
    {"ttft_p50", "ttft p50", "ms"},
    {"ttft_p99", "ttft p99", "ms"},
    {"itl_p99", "itl p99", "ms"},
    {"tpot_p50", "tpot p50", "ms"},
    {"throughput", "throughput", "/s", Better::kHigher},
    {"output_tokens_per_s", "output tokens", "/s", Better::kHigher},
    {"error_rate", "error rate", "%", Better::kLower, true},
};

// Where a run has them, and where its windows do.
struct Place {
  const char* metric;
  const char* histogram;  // null: the run itself
  const char* key;
  const char* window_key;  // null: windows do not have it
};
constexpr Place kPlaces[] = {
    {"latency_p50", "latency_ms", "p50", "p50_ms"},
    {"latency_p95", "latency_ms", "p95", "p95_ms"},
    {"latency_p99", "latency_ms", "p99", "p99_ms"},
    {"latency_mean", "latency_ms", "mean", "mean_ms"},
    {"ttft_p50", "ttft_ms", "p50", "ttft_p50_ms"},
    {"ttft_p99", "ttft_ms", "p99", "ttft_p99_ms"},
    {"itl_p99", "itl_ms", "p99", nullptr},
    {"tpot_p50", "tpot_ms", "p50", nullptr},
    {"throughput", nullptr, "requests_per_s", "requests_per_s"},
    {"output_tokens_per_s", nullptr, "output_tokens_per_s", "output_tokens_per_s"},
};

Error wrong(const std::string& origin, const std::string& what) {
  return Error{Code::kInvalidArgument, concat(origin, ": ", what)};
}

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->dump(-1, ' ', false, Json::error_handler_t::replace);
}

void note(Conditions& to, const Json& object, const char* key) {
  to.emplace_back(key, text_at(object, key));
}

void put(Figures& figures, const char* name, std::optional<double> value) {
  if (value && std::isfinite(*value) && *value >= 0) figures[name] = *value;
}

std::optional<double> error_rate(std::optional<double> requests, std::optional<double> failures) {
  if (!requests || !failures || *requests <= 0) return std::nullopt;
  return std::min(1.0, *failures / *requests);
}

Figures figures_of(const Json& run) {
  Figures figures;
  for (const Place& place : kPlaces) {
    const Json* from = &run;
    if (place.histogram != nullptr) {
      const bool latency = std::string_view(place.histogram) == "latency_ms";
      const auto found = run.find(latency ? latency_key(run) : place.histogram);
      from = found == run.end() || !found->is_object() ? nullptr : &*found;
    }
    if (from != nullptr) put(figures, place.metric, number_at(*from, place.key));
  }
  put(figures, "error_rate", error_rate(number_at(run, "requests"), number_at(run, "failures")));
  return figures;
}

std::vector<Figures> windows_of(const Json& run) {
  std::vector<Figures> out;
  const auto windows = run.find("windows");
  if (windows != run.end() && windows->is_array()) {
    for (const Json& window : *windows) {
      if (!window.is_object() || out.size() == kWindowsMax) break;
      if (number_at(window, "length_s").value_or(1) < kWindowLeast_s) continue;
      Figures figures;
      // A window without good answers has no latencies, whatever stands there.
      const bool answered =
          number_at(window, "requests").value_or(0) > number_at(window, "failures").value_or(0);
      for (const Place& place : kPlaces)
        if (place.window_key != nullptr && (answered || place.histogram == nullptr))
          put(figures, place.metric, number_at(window, place.window_key));
      put(figures, "error_rate",
          error_rate(number_at(window, "requests"), number_at(window, "failures")));
      out.push_back(std::move(figures));
    }
    return out;
  }
  // Documents without windows have a timeline of means; its last second may be a part of one.
  const auto timeline = run.find("timeline_per_second");
  if (timeline == run.end() || !timeline->is_array()) return out;
  for (size_t i = 0; i + 1 < timeline->size() && i < kWindowsMax; ++i) {
    const Json& second = (*timeline)[i];
    const auto ok = number_at(second, "ok"), failed = number_at(second, "failed");
    if (!ok || !failed) return {};
    Figures figures;
    if (*ok > 0) put(figures, "latency_mean", number_at(second, "latency_mean_ms"));
    put(figures, "throughput", ok);
    put(figures, "error_rate", error_rate(*ok + *failed, failed));
    out.push_back(std::move(figures));
  }
  return out;
}

// "concurrency 4" of a run in a sweep.
std::string level_text(const Json& run) {
  const auto level = run.find("level");
  if (level == run.end() || !level->is_object()) return {};
  std::string out;
  for (const auto& [name, value] : level->items())
    if (value.is_number()) out += fmt::format(" {} {}", name, value.dump());
  return out;
}

void judge(const Json& run, RunSample& sample) {
  const std::string verdict = text_at(run, "verdict");
  sample.reason = text_at(run, "verdict_reason");
  if (verdict == "failed")
    sample.state = SampleState::kFailed;
  else if (verdict == "incomplete")
    sample.state =
        sample.reason.starts_with("interrupted") ? SampleState::kInterrupted : SampleState::kFailed;
  sample.generator_saturated = verdict == "generator saturated";
}

}  // namespace

std::span<const GateMetric> gate_metrics() { return kMetrics; }

const GateMetric* find_gate_metric(std::string_view name) {
  for (const GateMetric& metric : kMetrics)
    if (name == metric.name) return &metric;
  return nullptr;
}

Result<std::vector<RunSample>> read_samples(const Json& document, const std::string& origin,
                                            const std::string& scenario) {
  const auto runs = document.is_object() ? document.find("runs") : document.end();
  if (!document.is_object() || runs == document.end() || !runs->is_array())
    return wrong(origin, "want a document of 'sis bench --json' with \"runs\"");
  if (runs->empty()) return wrong(origin, "\"runs\" is empty");
  if (runs->size() > kRunsMax)
    return wrong(origin, concat("want at most ", kRunsMax, " runs, got ", runs->size()));
  std::vector<RunSample> samples;
  for (const Json& run : *runs) {
    if (!run.is_object() || text_at(run, "what").empty())
      return wrong(origin, concat("run ", samples.size() + 1, ": want an object with \"what\""));
    if (const auto warmup = run.find("warmup");
        warmup != run.end() && warmup->is_boolean() && warmup->get<bool>())
      continue;
    RunSample sample{.origin = origin, .started = text_at(document, "started")};
    sample.group = text_at(run, "what");
    if (const std::string model = text_at(run, "model"); !model.empty())
      sample.group += " " + model;
    sample.group += level_text(run);
    judge(run, sample);
    const Json* part = &run;
    if (!scenario.empty()) {
      // A plan has a run for each scenario; the others are not meant.
      if (run.contains("scenario") && text_at(run, "scenario") != scenario) continue;
      sample.group += concat(" scenario ", scenario);
      part = part_of_run(run, scenario);
      if (part == nullptr && sample.state == SampleState::kUsable)
        return wrong(origin, concat("there is no scenario ", in_quotes(scenario), " in run ",
                                    samples.size() + 1));
    }
    for (const char* key :
         {"load", "loop", "connections", "pipeline", "keep_alive", "rate", "arrivals",
          "users_stages", "rate_stages", "think_s", "burst", "trace_requests"})
      note(sample.conditions, run, key);
    if (const auto machine = document.find("machine");
        machine != document.end() && machine->is_object())
      for (const char* key : {"cpu", "cores"}) note(sample.machine, *machine, key);
    for (const char* key : {"threads", "duration_wanted_s", "requests_wanted", "warmup_requests",
                            "warmup_s", "timeout_s"})
      note(sample.remarks, run, key);
    note(sample.remarks, document, "version");
    if (sample.state == SampleState::kUsable) {
      sample.figures = figures_of(*part);
      sample.windows = windows_of(*part);
    } else if (sample.state == SampleState::kFailed) {
      sample.figures["error_rate"] = 1;
    }
    samples.push_back(std::move(sample));
  }
  if (samples.empty())
    return wrong(origin, scenario.empty() ? std::string("every run is a warm-up")
                                          : concat("there is no scenario ", in_quotes(scenario)));
  return samples;
}

Result<Json> read_document_file(const std::string& path) {
  SIS_ASSIGN(const std::string text, read_file(path, kFileBytesMax));
  bool too_deep = false;
  Json json = Json::parse(
      text,
      [&](int depth, Json::parse_event_t, Json&) {
        too_deep |= depth > kDepthMax;
        return depth <= kDepthMax;
      },
      false);
  if (json.is_discarded()) return wrong(path, "want JSON, got something else");
  if (too_deep) return wrong(path, concat("want at most ", kDepthMax, " levels of JSON"));
  return json;
}

}  // namespace sis::perf
