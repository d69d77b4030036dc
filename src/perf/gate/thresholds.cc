#include "perf/gate/thresholds.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/flags.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr Duration kDelayMax = std::chrono::hours(24);

Result<Duration> parse_delay(std::string_view text) {
  const auto delay = parse_duration(text);
  if (!delay || *delay > kDelayMax)
    return Error{Code::kInvalidArgument,
                 concat("delayAbortEval: want a time like 10s, got ", in_quotes(text))};
  return *delay;
}

ThresholdResult result_of(const ThresholdRule& rule, const std::optional<MetricData>& data) {
  ThresholdResult out{.metric = rule.metric.text,
                      .threshold = rule.expression.text,
                      .aggregate = rule.expression.aggregate_text(),
                      .kind = find_metric(rule.metric.base)->kind};
  if (data) out.value = data->aggregate(rule.expression);
  out.ok = !out.value || rule.expression.met_by(*out.value);
  return out;
}

std::string value_text(const ThresholdResult& result) {
  if (!result.value) return "no samples: passes";
  const double value = *result.value;
  switch (result.kind) {
    case MetricKind::kTrend:
      return fmt::format("{}={} ms", result.aggregate, short_number(value));
    case MetricKind::kRate:
      return fmt::format("{}={:.2f} %", result.aggregate, value * 100);
    case MetricKind::kCounter:
      return fmt::format("{}={}{}", result.aggregate, short_number(value),
                         result.aggregate == "rate" ? "/s" : "");
    case MetricKind::kGauge:
      return fmt::format("{}={}", result.aggregate, short_number(value));
  }
  return {};
}

}  // namespace

Status Thresholds::add(std::string_view metric, std::string_view expression, AbortRule abort) {
  if (rules_.size() == kRulesMax)
    return Error{Code::kInvalidArgument, concat("want at most ", kRulesMax, " thresholds")};
  ThresholdRule rule{.metric = {}, .expression = {}, .abort = abort};
  SIS_ASSIGN(rule.metric, parse_metric_name(metric));
  auto parsed = parse_threshold_expression(expression);
  if (!parsed.ok()) return prefixed(rule.metric.text, std::move(parsed).error());
  rule.expression = std::move(*parsed);
  SIS_TRY(check_metric(rule.metric, rule.expression));
  rules_.push_back(std::move(rule));
  return {};
}

Status Thresholds::add_flag(std::string_view text) {
  const size_t brace = text.find('{');
  const size_t name_end = brace == std::string_view::npos ? 0 : text.find('}', brace);
  const size_t colon =
      name_end == std::string_view::npos ? std::string_view::npos : text.find(':', name_end);
  if (colon == std::string_view::npos)
    return Error{
        Code::kInvalidArgument,
        concat("want METRIC:EXPRESSION, as in http_req_duration:p(95)<500, got ", in_quotes(text))};
  const std::vector<std::string> words = split(text.substr(colon + 1), ',');
  AbortRule abort;
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = trim(words[i]);
    constexpr std::string_view kDelay = "delayAbortEval=";
    if (word == "abortOnFail") {
      abort.abort_on_fail = true;
    } else if (word.starts_with(kDelay)) {
      SIS_ASSIGN(abort.delay, parse_delay(word.substr(kDelay.size())));
    } else {
      return Error{Code::kInvalidArgument,
                   concat("want abortOnFail or delayAbortEval=TIME behind the expression, got ",
                          in_quotes(word))};
    }
  }
  return add(text.substr(0, colon), words.front(), abort);
}

Status Thresholds::add_json(const Json& thresholds) {
  if (!thresholds.is_object())
    return Error{Code::kInvalidArgument, "thresholds: want an object of METRIC: [EXPRESSION, ...]"};
  for (const auto& [metric, list] : thresholds.items()) {
    const std::string place = concat("thresholds: ", in_quotes(metric));
    if (!list.is_array())
      return Error{Code::kInvalidArgument, concat(place, ": want a list of expressions")};
    for (const Json& entry : list) {
      if (entry.is_string()) {
        const Status added = add(metric, entry.get<std::string>());
        if (!added.ok()) return prefixed("thresholds", added.error());
        continue;
      }
      if (!entry.is_object() || !entry.contains("threshold") || !entry["threshold"].is_string())
        return Error{Code::kInvalidArgument,
                     concat(place,
                            ": want an expression or {threshold, abortOnFail, "
                            "delayAbortEval}, got ",
                            in_quotes(entry.dump(-1, ' ', false, Json::error_handler_t::replace)))};
      AbortRule abort;
      for (const auto& [key, value] : entry.items()) {
        if (key == "threshold") continue;
        if (key == "abortOnFail" && value.is_boolean()) {
          abort.abort_on_fail = value.get<bool>();
        } else if (key == "delayAbortEval" && value.is_string()) {
          SIS_ASSIGN(abort.delay, parse_delay(value.get<std::string>()));
        } else if (key == "delayAbortEval" && value.is_null()) {
          continue;
        } else {
          return Error{
              Code::kInvalidArgument,
              concat(place, ": want abortOnFail: true|false or delayAbortEval: \"10s\", got ",
                     in_quotes(key))};
        }
      }
      const Status added = add(metric, entry["threshold"].get<std::string>(), abort);
      if (!added.ok()) return prefixed("thresholds", added.error());
    }
  }
  return {};
}

Status Thresholds::check_scenarios(const std::vector<std::string>& names) const {
  for (const ThresholdRule& rule : rules_) {
    const auto scenario = scenario_of(rule.metric);
    if (!scenario || std::find(names.begin(), names.end(), *scenario) != names.end()) continue;
    return Error{
        Code::kInvalidArgument,
        concat(in_quotes(rule.metric.text), ": there is no scenario ", in_quotes(*scenario),
               names.empty() ? std::string("; this run has none")
                             : concat("; there are: ", join_list(names)))};
  }
  return {};
}

bool Thresholds::may_abort() const {
  return std::any_of(rules_.begin(), rules_.end(),
                     [](const ThresholdRule& rule) { return rule.abort.abort_on_fail; });
}

std::vector<ThresholdResult> Thresholds::evaluate(const Json& run) const {
  std::vector<ThresholdResult> results;
  for (const ThresholdRule& rule : rules_)
    results.push_back(result_of(rule, metric_data(rule.metric, run)));
  return results;
}

bool all_met(const std::vector<ThresholdResult>& results) {
  return std::all_of(results.begin(), results.end(),
                     [](const ThresholdResult& result) { return result.ok; });
}

Json thresholds_json(const std::vector<ThresholdResult>& results) {
  Json out = Json::array();
  for (const ThresholdResult& result : results) {
    Json entry = {{"metric", result.metric}, {"threshold", result.threshold}};
    entry["value"] = result.value ? Json(*result.value) : Json(nullptr);
    entry["ok"] = result.ok;
    if (!result.value) entry["note"] = "no samples";
    if (result.aborted) entry["aborted"] = true;
    out.push_back(std::move(entry));
  }
  return out;
}

std::string thresholds_text(const std::vector<ThresholdResult>& results) {
  if (results.empty()) return {};
  std::string out = "thresholds:\n";
  std::vector<std::string> shown;
  for (const ThresholdResult& first : results) {
    if (std::find(shown.begin(), shown.end(), first.metric) != shown.end()) continue;
    shown.push_back(first.metric);
    out += fmt::format("  {}\n", first.metric);
    for (const ThresholdResult& result : results)
      if (result.metric == first.metric)
        out += fmt::format("    {} '{}' {}\n", result.ok ? "✓" : "✗", result.threshold,
                           value_text(result));
  }
  return out;
}

ThresholdWatch::ThresholdWatch(const Thresholds& thresholds, std::vector<std::string> part_names)
    : part_names_(std::move(part_names)) {
  bool by_part = false;
  for (const ThresholdRule& rule : thresholds.rules()) {
    if (!rule.abort.abort_on_fail) continue;
    by_part |= scenario_of(rule.metric).has_value();
    rules_.push_back(rule);
  }
  if (!rules_.empty()) total_ = std::make_unique<Tally>();
  if (by_part) parts_.resize(part_names_.size());
}

bool ThresholdWatch::take(const Window& window) {
  if (rules_.empty()) return true;
  total_->merge(window.total);
  for (size_t i = 0; i < parts_.size() && i < window.parts.size(); ++i)
    parts_[i].merge(window.parts[i]);
  const double seconds = window.start_s + window.length_s;
  for (const ThresholdRule& rule : rules_) {
    if (seconds < to_seconds(rule.abort.delay)) continue;
    const Tally* tally = total_.get();
    if (const auto scenario = scenario_of(rule.metric)) {
      const auto found = std::find(part_names_.begin(), part_names_.end(), *scenario);
      const auto at = static_cast<size_t>(found - part_names_.begin());
      tally = at < parts_.size() ? &parts_[at] : nullptr;
    }
    if (tally == nullptr) continue;
    const LiveFigures live{.total = tally, .seconds = seconds, .users = window.users};
    ThresholdResult result = result_of(rule, metric_data(rule.metric, live));
    result.aborted = !result.ok;
    if (!result.ok) crossed_.push_back(std::move(result));
  }
  return crossed_.empty();
}

}  // namespace sis::perf
