#include "perf/report/k6_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

enum class Type : uint8_t { kTrend, kCounter, kRate, kGauge };

struct Metric {
  std::string name;
  Type type = Type::kTrend;
  const char* contains = "default";
  HistogramData times;                  // trend
  double count = 0, per_second = 0;     // counter
  double hits = 0, all = 0;             // rate
  double value = 0, low = 0, high = 0;  // gauge
  std::vector<ThresholdData> thresholds;
};

struct Summary {
  std::vector<Metric> metrics;
  double wall_s = 0;
};

class Builder {
 public:
  void trend(std::string name, const HistogramData& times) {
    metric(std::move(name), Type::kTrend, "time").times.merge(times);
  }
  void counter(std::string name, double count, const char* contains = "default") {
    metric(std::move(name), Type::kCounter, contains).count += count;
  }
  void rate(std::string name, double hits, double all) {
    Metric& found = metric(std::move(name), Type::kRate, "default");
    found.hits += hits;
    found.all += all;
  }
  void gauge(std::string name, double value, double low, double high) {
    const bool fresh = find(name) == nullptr;
    Metric& found = metric(std::move(name), Type::kGauge, "default");
    found.value = value;
    found.low = fresh ? low : std::min(found.low, low);
    found.high = fresh ? high : std::max(found.high, high);
  }
  // A threshold on a metric of another tool has that metric to itself.
  void threshold(const ThresholdData& threshold) {
    Metric* found = find(threshold.metric);
    if (found == nullptr) {
      found = &metric(threshold.metric, Type::kGauge, "default");
      found->value = found->low = found->high = threshold.value.value_or(0);
    }
    found->thresholds.push_back(threshold);
  }
  Summary finish(double wall_s) && {
    for (Metric& metric : metrics_) metric.per_second = wall_s > 0 ? metric.count / wall_s : 0;
    // What never happened is left out, as in k6; yet every k6 test has these.
    std::erase_if(metrics_, [](const Metric& metric) {
      return metric.type == Type::kTrend && metric.times.empty() && metric.thresholds.empty() &&
             !metric.name.starts_with("http_req_");
    });
    return {std::move(metrics_), wall_s};
  }

 private:
  Metric* find(const std::string& name) {
    const auto found = places_.find(name);
    return found == places_.end() ? nullptr : &metrics_[found->second];
  }
  Metric& metric(std::string name, Type type, const char* contains) {
    if (Metric* found = find(name)) return *found;
    places_.emplace(name, metrics_.size());
    Metric fresh;
    fresh.name = std::move(name);
    fresh.type = type;
    fresh.contains = contains;
    return metrics_.emplace_back(std::move(fresh));
  }

  std::vector<Metric> metrics_;
  std::map<std::string, size_t> places_;
};

// Tags end at a comma or brace in k6's names.
std::string scenario(std::string_view metric, std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '{' || c == '}' || c == ','; }, '_');
  return concat(metric, "{scenario:", name, "}");
}

void add_scenario(const RunData& run, Builder& out) {
  out.trend(scenario("http_req_duration", run.scenario), run.service_times());
  out.trend(scenario("http_req_duration", run.scenario), run.failed);
  out.trend(scenario("http_req_waiting", run.scenario), run.http.waiting);
  out.counter(scenario("http_reqs", run.scenario), static_cast<double>(run.requests));
  out.rate(scenario("http_req_failed", run.scenario), static_cast<double>(run.failures),
           static_cast<double>(run.requests));
}

void add_run(const RunData& run, Builder& out) {
  if (!run.scenario.empty()) add_scenario(run, out);
  if (run.warmup) return;
  const HistogramData& good = run.service_times();
  out.trend("http_req_duration", good);
  out.trend("http_req_duration", run.failed);
  out.trend("http_req_duration{expected_response:true}", good);
  out.trend("latency", run.latency_to_judge());
  out.trend("http_req_blocked", run.waited);
  out.trend("http_req_connecting", run.http.connecting);
  out.trend("http_req_tls_handshaking", run.http.tls_handshaking);
  out.trend("http_req_sending", run.http.sending);
  out.trend("http_req_waiting", run.http.waiting);
  out.trend("http_req_receiving", run.http.receiving);
  out.trend("iteration_duration", good);
  out.trend("iteration_duration", run.failed);
  out.trend("ttft", run.ttft);
  out.trend("itl", run.itl);
  out.trend("tpot", run.tpot);
  const auto requests = static_cast<double>(run.requests);
  out.rate("http_req_failed", static_cast<double>(run.failures), requests);
  out.rate("checks", static_cast<double>(run.successes), requests);
  out.counter("http_reqs", requests);
  out.counter("iterations", requests);
  out.counter("data_sent", static_cast<double>(run.bytes_out), "data");
  out.counter("data_received", static_cast<double>(run.bytes_in), "data");
  if (run.output_tokens) out.counter("output_tokens", *run.output_tokens);
  if (run.prompt_tokens) out.counter("prompt_tokens", *run.prompt_tokens);
  if (run.goodput_share) out.rate("goodput", *run.goodput_share * requests, requests);
  if (run.open_loop()) out.counter("dropped_iterations", static_cast<double>(run.unsent));

  double low = static_cast<double>(run.connections), high = low, last = low;
  bool seen = false;
  for (const WindowData& window : run.windows) {
    if (!window.users) continue;
    low = seen ? std::min(low, *window.users) : *window.users;
    high = seen ? std::max(high, *window.users) : *window.users;
    last = *window.users;
    seen = true;
  }
  out.gauge("vus", last, low, high);
  const auto most = std::max(high, static_cast<double>(run.connections));
  out.gauge("vus_max", most, most, most);

  for (const PartData& part : run.parts) {
    out.trend(scenario("http_req_duration", part.name),
              part.service.empty() ? part.latency : part.service);
    if (!part.http.empty()) out.trend(scenario("http_req_waiting", part.name), part.http.waiting);
    out.counter(scenario("http_reqs", part.name), static_cast<double>(part.requests));
    out.rate(scenario("http_req_failed", part.name), static_cast<double>(part.failures),
             static_cast<double>(part.requests));
  }
}

Summary summary_of(const Report& report) {
  Builder builder;
  double wall_s = 0;
  std::optional<double> begin_s, end_s;  // of a plan, whose scenarios run side by side
  for (const RunData& run : report.runs) {
    if (!run.measured) continue;
    add_run(run, builder);
    if (run.warmup) continue;
    if (run.began_s && run.ended_s) {
      begin_s = std::min(begin_s.value_or(*run.began_s), *run.began_s);
      end_s = std::max(end_s.value_or(*run.ended_s), *run.ended_s);
    } else {
      wall_s += run.wall_s;
    }
  }
  if (begin_s && *end_s > *begin_s) wall_s += *end_s - *begin_s;
  for (const RunData& run : report.runs)
    for (const ThresholdData& threshold : run.thresholds) builder.threshold(threshold);
  return std::move(builder).finish(wall_s);
}

// Whole numbers without a decimal point, as JavaScript writes them.
Json plain(double value) {
  if (value == std::floor(value) && std::fabs(value) < 9e15) return static_cast<int64_t>(value);
  return value;
}

Json trend_values(const HistogramData& times) {
  Json out;
  out["avg"] = plain(times.mean_ms);
  out["min"] = plain(times.min_ms);
  out["med"] = plain(times.quantile_ms(0.5).value_or(0));
  out["max"] = plain(times.max_ms);
  for (const auto& [name, q] :
       {std::pair("p(90)", 0.9), std::pair("p(95)", 0.95), std::pair("p(99)", 0.99)})
    out[name] = plain(times.quantile_ms(q).value_or(0));
  return out;
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

const char* type_name(Type type) {
  switch (type) {
    case Type::kTrend:
      return "trend";
    case Type::kCounter:
      return "counter";
    case Type::kRate:
      return "rate";
    case Type::kGauge:
      return "gauge";
  }
  return "trend";
}

// As handleSummary() has them. The other two shapes name a rate's counts in their own ways.
Json values_of(const Metric& metric) {
  switch (metric.type) {
    case Type::kTrend:
      return trend_values(metric.times);
    case Type::kCounter:
      return {{"count", plain(metric.count)}, {"rate", plain(metric.per_second)}};
    case Type::kRate:
      return {{"rate", plain(share(metric.hits, metric.all))},
              {"passes", plain(metric.hits)},
              {"fails", plain(metric.all - metric.hits)}};
    case Type::kGauge:
      return {
          {"value", plain(metric.value)}, {"min", plain(metric.low)}, {"max", plain(metric.high)}};
  }
  return Json::object();
}

std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Json root_group(const Json& none) {
  // The id is the MD5 of the empty path.
  return {{"name", ""},
          {"path", ""},
          {"id", "d41d8cd98f00b204e9800998ecf8427e"},
          {"groups", none},
          {"checks", none}};
}

}  // namespace

std::string k6_summary_export(const Report& report) {
  Json metrics = Json::object();
  for (const Metric& metric : summary_of(report).metrics) {
    Json values = values_of(metric);
    if (metric.type == Type::kRate)
      values = {
          {"value", values["rate"]}, {"passes", values["passes"]}, {"fails", values["fails"]}};
    for (const ThresholdData& threshold : metric.thresholds)
      values["thresholds"][threshold.threshold] = !threshold.ok;
    metrics[metric.name] = std::move(values);
  }
  return text_of({{"root_group", root_group(Json::object())}, {"metrics", std::move(metrics)}});
}

std::string k6_handle_summary(const Report& report) {
  const Summary summary = summary_of(report);
  Json metrics = Json::object();
  for (const Metric& metric : summary.metrics) {
    Json entry = {{"type", type_name(metric.type)},
                  {"contains", metric.contains},
                  {"values", values_of(metric)}};
    for (const ThresholdData& threshold : metric.thresholds)
      entry["thresholds"][threshold.threshold] = {{"ok", threshold.ok}};
    metrics[metric.name] = std::move(entry);
  }
  return text_of({{"root_group", root_group(Json::array())},
                  {"options",
                   {{"summaryTrendStats", {"avg", "min", "med", "max", "p(90)", "p(95)", "p(99)"}},
                    {"summaryTimeUnit", ""},
                    {"noColor", true}}},
                  {"state",
                   {{"isStdOutTTY", false},
                    {"isStdErrTTY", false},
                    {"testRunDurationMs", plain(summary.wall_s * 1000)}}},
                  {"metrics", std::move(metrics)}});
}

std::string k6_machine_summary(const Report& report) {
  const Summary summary = summary_of(report);
  Json metrics = Json::array();
  for (const Metric& metric : summary.metrics) {
    Json values = values_of(metric);
    if (metric.type == Type::kRate)
      values = {
          {"matches", plain(metric.hits)}, {"total", plain(metric.all)}, {"rate", values["rate"]}};
    else if (metric.type == Type::kCounter)
      values.erase("rate");
    else if (metric.type == Type::kTrend)
      for (const char* digits : {"90", "95", "99"}) {  // "p90" for "p(90)"
        const std::string name = concat("p(", digits, ")");
        Json value = values[name];
        values[concat("p", digits)] = std::move(value);
        values.erase(name);
      }
    metrics.push_back({{"name", metric.name},
                       {"type", type_name(metric.type)},
                       {"contains", metric.contains},
                       {"values", std::move(values)}});
  }
  return text_of(
      {{"version", "1.0.0"},
       {"config",
        {{"duration", plain(summary.wall_s)}, {"execution", "local"}, {"script", report.command}}},
       {"metadata",
        {{"generated_at", report.started}, {"k6_version", concat("sis ", report.version)}}},
       {"results",
        {{"checks", {{"metrics", Json::array()}, {"results", Json::array()}}},
         {"metrics", std::move(metrics)}}}});
}

}  // namespace sis::perf
