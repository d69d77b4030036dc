#include "perf/report/engine_json.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/report/generation.h"
#include "perf/report/histogram_text.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLateMs = 1;

Json http_json(const HttpTimes& http) {
  Json out;
  out["connecting"] = histogram_json(http.connecting, true);
  out["tls_handshaking"] = histogram_json(http.tls_handshaking, true);
  out["sending"] = histogram_json(http.sending, true);
  out["waiting"] = histogram_json(http.waiting, true);
  out["receiving"] = histogram_json(http.receiving, true);
  return out;
}

Json part_json(const std::string& name, const RunOptions& options, const Tally& tally) {
  const bool window = tally.window_end != TimePoint{};
  const double wall_s = tally.wall_s();
  Json out;
  out["name"] = name;
  out["requests"] = tally.ok + tally.failed;
  out["successes"] = tally.ok;
  out["failures"] = tally.failed;
  Json statuses = Json::object(), faults = Json::object();
  for (size_t code = 0; code < tally.statuses.size(); ++code)
    if (tally.statuses[code] > 0) statuses[std::to_string(code)] = tally.statuses[code];
  for (size_t i = 0; i < kFaults; ++i) faults[fault_name(static_cast<Fault>(i))] = tally.faults[i];
  out["failures_by_kind"] = std::move(faults);
  out["statuses"] = std::move(statuses);
  out["requests_per_s"] =
      wall_s > 0 ? static_cast<double>(window ? tally.ok_in_window : tally.ok) / wall_s : 0;
  out["items"] = tally.items;
  out["prompt_tokens"] =
      tally.answers_with_prompt_tokens > 0 ? Json(tally.prompt_tokens) : Json(nullptr);
  out["latency_ms"] = histogram_json(tally.latency, true);
  if (options.is_open()) out["service_ms"] = histogram_json(tally.service, true);
  out["failed_latency_ms"] = histogram_json(tally.failed_latency, false);
  out["http_ms"] = http_json(tally.http);
  if (tally.generation.answers > 0) add_generation_json(tally, options, out);
  return out;
}

Json window_json(const WindowRow& row) {
  Json out;
  out["start_s"] = row.start_s;
  out["length_s"] = row.length_s;
  out["users"] = row.users;
  out["requests"] = row.requests;
  out["failures"] = row.failures;
  out["requests_per_s"] = row.requests_per_s;
  out["mean_ms"] = row.mean_ms;
  out["p50_ms"] = row.p50_ms;
  out["p95_ms"] = row.p95_ms;
  out["p99_ms"] = row.p99_ms;
  out["max_ms"] = row.max_ms;
  if (row.generated) {
    out["ttft_p50_ms"] = row.ttft_p50_ms;
    out["ttft_p99_ms"] = row.ttft_p99_ms;
    out["output_tokens_per_s"] = row.output_tokens_per_s;
  }
  return out;
}

Json profile_json(const Profile& profile) {
  Json stages = Json::array();
  for (const Stage& stage : profile.stages)
    stages.push_back({{"length_s", to_seconds(stage.length)}, {"target", stage.target}});
  return {{"start", profile.start}, {"stages", std::move(stages)}};
}

}  // namespace

ScheduleFigures schedule_figures(const Tally& tally) {
  ScheduleFigures out{.due = tally.sent + tally.unsent, .sent = tally.sent};
  if (!tally.late.empty()) out.late_share = 1 - tally.late.share_within(kLateMs);
  out.error_ms = tally.late.mean_ms() + tally.waited.mean_ms();
  return out;
}

std::string rate_text(const RunOptions& options) {
  if (options.trace) return concat(with_commas(options.trace->size()), " due times of a trace");
  const bool poisson = options.arrivals == Arrivals::kPoisson;
  std::string out =
      options.rates.empty()
          ? fmt::format("{} requests/s {}", short_number(options.rate),
                        poisson ? "Poisson" : "constant")
          : fmt::format("up to {} requests/s over {} stage{}{}",
                        short_number(options.rates.highest()), options.rates.stages.size(),
                        options.rates.stages.size() == 1 ? "" : "s", poisson ? ", Poisson" : "");
  if (options.burst > 1) out += concat(" in bursts of ", options.burst);
  return out;
}

void add_engine_json(const RunOptions& options, const RunResult& result, Json& out) {
  const Tally& tally = result.tally;
  if (!options.users.empty()) out["users_stages"] = profile_json(options.users);
  if (!options.rates.empty()) out["rate_stages"] = profile_json(options.rates);
  if (options.trace) out["trace_requests"] = options.trace->size();
  if (options.burst > 1) out["burst"] = options.burst;
  if (options.think_max > Duration{})
    out["think_s"] = {to_seconds(options.think_min), to_seconds(options.think_max)};
  out["http_ms"] = http_json(tally.http);
  if (options.is_open()) {
    const ScheduleFigures schedule = schedule_figures(tally);
    out["schedule"] = {{"due", schedule.due},
                       {"sent", schedule.sent},
                       {"late_over_1ms_share", schedule.late_share},
                       {"error_mean_ms", schedule.error_ms}};
  }
  if (!result.parts.empty()) {
    Json parts = Json::array();
    for (size_t i = 0; i < result.parts.size(); ++i)
      parts.push_back(part_json(result.part_names[i], options, result.parts[i]));
    out["parts"] = std::move(parts);
  }
  if (options.window > Duration{}) {
    Json windows = Json::array();
    for (const WindowRow& row : result.windows) windows.push_back(window_json(row));
    out["windows"] = std::move(windows);
  }
  if (result.stop_rule)
    out["stop_rule"] = {{"rule", result.stop_rule->rule},
                        {"met", result.stop_rule->met},
                        {"detail", result.stop_rule->detail}};
  if (result.stable) out["stable"] = *result.stable;
  if (result.level) {
    const auto& [name, value] = *result.level;
    const bool whole = value == std::floor(value);
    out["level"][name] = whole ? Json(static_cast<int64_t>(value)) : Json(value);
  }
}

}  // namespace sis::perf
