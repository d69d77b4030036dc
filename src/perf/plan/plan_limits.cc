#include "perf/plan/plan_limits.h"

#include <algorithm>

#include "base/strings.h"
#include "perf/plan/reader.h"

namespace sis::perf {
namespace {

bool has_tag(const PlanScenario& scenario, const MetricTag& tag) {
  return std::any_of(scenario.tags.begin(), scenario.tags.end(), [&](const auto& own) {
    return own.first == tag.name && own.second == tag.value;
  });
}

bool has_task(const PlanScenario& scenario, const std::string& name) {
  return std::any_of(scenario.tasks.begin(), scenario.tasks.end(),
                     [&](const auto& task) { return task.name == name; });
}

// Counted of connections, which the tasks of a scenario share: a task's own figure would always be
// 0, or missing.
bool counted_by_task(std::string_view metric) {
  static constexpr std::string_view kOfConnections[] = {
      "http_req_connecting", "http_req_tls_handshaking", "dropped_iterations", "data_sent",
      "data_received"};
  return std::find(std::begin(kOfConnections), std::end(kOfConnections), metric) ==
         std::end(kOfConnections);
}

}  // namespace

Result<PlanLimits> PlanLimits::create(const Plan& plan) {
  PlanLimits out;
  for (const PlanThreshold& threshold : plan.thresholds) {
    YamlTree at;
    at.line = threshold.line;
    const auto wrong = [&](const Error& error) {
      return plan_error(plan.file, at, "thresholds", error.message);
    };
    Limit limit{.metric = threshold.metric};
    limit.abort = {.abort_on_fail = threshold.abort_on_fail, .delay = threshold.delay_abort};
    auto name = parse_metric_name(threshold.metric);
    if (!name.ok()) return wrong(name.error());
    auto expression = parse_threshold_expression(threshold.expression);
    if (!expression.ok()) return wrong(expression.error());
    limit.expression = std::move(*expression);
    limit.name = {.text = name->base, .base = name->base};
    for (MetricTag& tag : name->tags) {
      if (tag.name == "expected_response")
        limit.name.tags.push_back(std::move(tag));
      else if (tag.name == "task")
        limit.task = tag.value;
      else
        limit.scenario.push_back(std::move(tag));
    }
    if (Status status = check_metric(limit.name, limit.expression); !status.ok())
      return wrong(status.error());
    // What no scenario has would never have samples and always pass.
    if (std::none_of(plan.scenarios.begin(), plan.scenarios.end(),
                     [&](const auto& scenario) { return matches(limit, scenario); }))
      return wrong(Error{Code::kInvalidArgument,
                         concat(in_quotes(threshold.metric),
                                ": no measured scenario has these tags or this task")});
    for (const PlanScenario& scenario : plan.scenarios)
      if (!limit.task.empty() && scenario.tasks.size() > 1 && matches(limit, scenario) &&
          !counted_by_task(limit.name.base))
        return wrong(Error{
            Code::kInvalidArgument,
            concat(in_quotes(threshold.metric), ": ", limit.name.base,
                   " is not counted by task, and scenario ", in_quotes(scenario.name), " has ",
                   scenario.tasks.size(), " tasks; want it without task:", limit.task)});
    out.limits_.push_back(std::move(limit));
  }
  return out;
}

bool PlanLimits::may_abort() const {
  return std::any_of(limits_.begin(), limits_.end(),
                     [](const Limit& limit) { return limit.abort.abort_on_fail; });
}

bool PlanLimits::matches(const Limit& limit, const PlanScenario& scenario) {
  if (scenario.users == 0 || (limit.scenario.empty() && scenario.warmup)) return false;
  if (!limit.task.empty() && !has_task(scenario, limit.task)) return false;
  return std::all_of(limit.scenario.begin(), limit.scenario.end(),
                     [&](const MetricTag& tag) { return has_tag(scenario, tag); });
}

ThresholdResult PlanLimits::judge_one(const Limit& limit,
                                      std::span<const ScenarioFigures> figures) {
  ThresholdResult out{.metric = limit.metric,
                      .threshold = limit.expression.text,
                      .aggregate = limit.expression.aggregate_text(),
                      .kind = find_metric(limit.name.base)->kind};
  Tally sum;
  double from_s = 0, until_s = 0;
  int users = 0;
  bool any = false;
  for (const auto& one : figures) {
    if (!matches(limit, *one.scenario) || one.until_s <= one.from_s) continue;
    if (limit.task.empty() || one.tasks.empty()) {
      sum.merge(one.total);
    } else {
      for (size_t i = 0; i < one.tasks.size() && i < one.scenario->tasks.size(); ++i)
        if (one.scenario->tasks[i].name == limit.task) sum.merge(one.tasks[i]);
    }
    from_s = any ? std::min(from_s, one.from_s) : one.from_s;
    until_s = std::max(until_s, one.until_s);
    users += one.users;
    any = true;
  }
  if (any) {
    const LiveFigures live{.total = &sum, .seconds = until_s - from_s, .users = users};
    if (const auto data = metric_data(limit.name, live))
      out.value = data->aggregate(limit.expression);
  }
  out.ok = !out.value || limit.expression.met_by(*out.value);
  return out;
}

std::vector<ThresholdResult> PlanLimits::judge(std::span<const ScenarioFigures> figures) const {
  std::vector<ThresholdResult> out;
  for (const Limit& limit : limits_) out.push_back(judge_one(limit, figures));
  return out;
}

std::vector<ThresholdResult> PlanLimits::crossed(std::span<const ScenarioFigures> figures,
                                                 Duration since_start) const {
  std::vector<ThresholdResult> out;
  for (const Limit& limit : limits_) {
    if (!limit.abort.abort_on_fail || since_start < limit.abort.delay) continue;
    ThresholdResult result = judge_one(limit, figures);
    if (result.ok) continue;
    result.aborted = true;
    out.push_back(std::move(result));
  }
  return out;
}

bool PlanLimits::about(size_t limit, const PlanScenario& scenario) const {
  return std::any_of(
      limits_[limit].scenario.begin(), limits_[limit].scenario.end(),
      [&](const MetricTag& tag) { return tag.name == "scenario" && has_tag(scenario, tag); });
}

}  // namespace sis::perf
