#include "perf/plan/plan.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/strings.h"
#include "perf/plan/reader.h"
#include "perf/plan/tasks.h"
#include "perf/plan/values.h"

namespace sis::perf {
namespace {

using Kind = YamlTree::Kind;

constexpr Duration kDay = std::chrono::hours(24);
constexpr double kRateMax = 10'000'000;  // requests/s
constexpr size_t kStagesMax = 1000;

struct ExecutorName {
  Executor executor;
  const char* name;
};
constexpr ExecutorName kExecutors[] = {
    {Executor::kConstantVus, "constant-vus"},
    {Executor::kRampingVus, "ramping-vus"},
    {Executor::kConstantArrivalRate, "constant-arrival-rate"},
    {Executor::kRampingArrivalRate, "ramping-arrival-rate"},
    {Executor::kSharedIterations, "shared-iterations"},
    {Executor::kPerVuIterations, "per-vu-iterations"},
};

class PlanParser {
 public:
  PlanParser(const std::string& origin, const PlanChoices& choices)
      : origin_(origin), choices_(choices) {}

  Result<Plan> parse(YamlTree tree) {
    if (tree.kind != Kind::kMap)
      return plan_error(origin_, tree, "",
                        concat("want a mapping with scenarios, got ", found_text(tree)));
    SIS_TRY(apply_settings(tree, choices_.settings, origin_));
    SIS_TRY(choose_environment(tree));
    SIS_TRY(fill_in_values(tree, choices_.variables, origin_));

    Plan plan;
    plan.file = origin_;
    PlanReader reader(origin_, tree, "");
    plan.name = reader.text("name");
    plan.seed = static_cast<uint64_t>(reader.integer("seed", 1, 0, INT64_MAX));
    reader.text("default_environment");
    timeout_ = reader.time("timeout", from_seconds(30), from_ms(1), kDay);
    keep_alive_ = reader.flag("keep_alive", true);
    slo_ = read_slo(reader);
    const YamlTree* environments = reader.find("environments");
    const YamlTree* scenarios = reader.find("scenarios");
    const YamlTree* thresholds = reader.find("thresholds");
    reader.require("scenarios");
    // A place for YAML anchors that are used elsewhere.
    reader.find("shared");
    SIS_TRY(reader.finish());
    SIS_TRY(read_environment(environments, plan));
    SIS_TRY(read_scenarios(*scenarios, plan));
    if (thresholds != nullptr) SIS_TRY(read_thresholds(*thresholds, plan));
    return plan;
  }

 private:
  // Leaves only the environment that is used: the others' ${env:...} need not be set.
  Status choose_environment(YamlTree& tree) {
    std::string wanted = choices_.environment;
    YamlTree* environments = tree.find("environments");
    if (environments == nullptr || environments->kind != Kind::kMap ||
        environments->members.empty()) {
      if (wanted.empty()) return {};
      return Error{Code::kInvalidArgument,
                   concat("--env ", in_quotes(wanted), ": ", origin_, " has no environments")};
    }
    if (wanted.empty()) {
      for (const char* key : {"default_environment", "defaultEnvironment"})
        if (const YamlTree* value = tree.find(key); value != nullptr) wanted = value->scalar;
    }
    std::vector<std::string> names;
    for (const auto& member : environments->members) names.push_back(member.key);
    if (wanted.empty()) wanted = names.front();
    YamlTree* found = environments->find(wanted);
    if (found == nullptr)
      return plan_error(
          origin_, *environments, "environments",
          concat("no environment ", in_quotes(wanted), "; there are ", join_list(names)));
    YamlMember kept{wanted, found->line, std::move(*found)};
    environments->members.clear();
    environments->members.push_back(std::move(kept));
    return {};
  }

  Status read_environment(const YamlTree* tree, Plan& plan) {
    PlanEnvironment& out = plan.environment;
    std::string base_url = "http://localhost:8000";
    const YamlTree* at = nullptr;
    std::string path = "environments";
    if (tree != nullptr) {
      if (tree->kind != Kind::kMap || tree->members.empty())
        return plan_error(
            origin_, *tree, path,
            concat("want a mapping of names to environments, got ", found_text(*tree)));
      const YamlMember& member = tree->members.front();
      path += "." + member.key;
      out.name = member.key;
      PlanReader reader(origin_, member.value, path);
      base_url = reader.text("base_url", base_url);
      at = reader.find("base_url");
      out.api_key = reader.text("api_key");
      out.model = reader.text("model");
      out.headers = reader.pairs("headers", 100);
      out.verify_tls = reader.flag("verify_tls", true);
      SIS_TRY(reader.finish());
    }
    if (!choices_.base_url.empty()) {
      auto url = net::parse_url(choices_.base_url);
      if (!url.ok()) return prefixed("--base-url", url.error());
      out.url = std::move(*url);
      return {};
    }
    auto url = net::parse_url(base_url);
    if (!url.ok())
      return at != nullptr ? plan_error(origin_, *at, path + ".base_url", url.error().message)
                           : url.error();
    out.url = std::move(*url);
    return {};
  }

  Status read_scenarios(const YamlTree& tree, Plan& plan) {
    if (tree.kind != Kind::kMap || tree.members.empty() || tree.members.size() > kPlanScenariosMax)
      return plan_error(origin_, tree, "scenarios",
                        concat("want a mapping of 1..", kPlanScenariosMax,
                               " names to scenarios, got ", found_text(tree)));
    for (const auto& member : tree.members) {
      PlanScenario scenario;
      scenario.name = member.key;
      if (member.key.empty() || member.key.size() > 100)
        return plan_error(origin_, member.value, "scenarios", "want names of 1..100 bytes");
      SIS_TRY(read_scenario(member.value, "scenarios." + member.key, scenario));
      plan.scenarios.push_back(std::move(scenario));
    }
    const bool measures = std::any_of(plan.scenarios.begin(), plan.scenarios.end(),
                                      [](const auto& one) { return !one.warmup && one.users > 0; });
    if (!measures)
      return plan_error(origin_, tree, "scenarios",
                        "want one that has users and is not for warm-up");
    return {};
  }

  Status read_scenario(const YamlTree& tree, const std::string& path, PlanScenario& out) {
    PlanReader reader(origin_, tree, path);
    std::vector<std::string> names;
    for (const auto& one : kExecutors) names.emplace_back(one.name);
    const std::string executor = reader.choice("executor", "constant-vus", names);
    for (const auto& one : kExecutors)
      if (executor == one.name) out.executor = one.executor;
    out.start_time = reader.time("start_time", {}, {}, kDay);
    out.graceful_stop = reader.time("graceful_stop", from_seconds(30), {}, kDay);
    out.timeout = reader.time("timeout", timeout_, from_ms(1), kDay);
    out.keep_alive = reader.flag("keep_alive", keep_alive_);
    out.threads = static_cast<int>(reader.integer("threads", 1, 1, 256));
    out.spin = reader.flag("spin", false);
    out.weight = reader.integer("weight", 1, 0, 1'000'000);
    read_executor(reader, out);
    read_think(reader, out);
    const Slo slo = read_slo(reader);
    out.slo = slo.wanted() ? slo : slo_;
    out.tags = reader.pairs("tags", 50);
    out.warmup = reader.flag("warmup", false);
    for (const auto& [name, value] : out.tags)
      out.warmup |= value == "warmup" || (name == "warmup" && parse_bool(value).value_or(false));
    if (std::none_of(out.tags.begin(), out.tags.end(),
                     [](const auto& tag) { return tag.first == "scenario"; }))
      out.tags.emplace_back("scenario", out.name);
    if (reader.has("base_url")) {
      auto url = net::parse_url(reader.text("base_url"));
      if (url.ok())
        out.url = std::move(*url);
      else
        reader.fail("base_url", url.error().message);
    }
    reader.require("tasks");
    const YamlTree* tasks = reader.find("tasks");
    SIS_TRY(reader.finish());
    return read_tasks(*tasks, path + ".tasks", out);
  }

  void read_executor(PlanReader& reader, PlanScenario& out) {
    const auto users = [&](std::string_view key, int64_t fallback, int64_t low = 1) {
      return static_cast<int>(reader.integer(key, fallback, low, kPlanUsersMax));
    };
    // k6's rates are per time_unit.
    const auto per_second = [&] {
      return to_seconds(reader.time("time_unit", from_seconds(1), from_ms(1), kDay));
    };
    const auto connections = [&] {
      const int first = users("pre_allocated_vus", 10);
      out.users = std::max(first, users("max_vus", first));
      const std::string arrivals = reader.choice("arrivals", "constant", {"constant", "poisson"});
      out.arrivals = arrivals == "poisson" ? Arrivals::kPoisson : Arrivals::kConstant;
    };
    switch (out.executor) {
      case Executor::kConstantVus:
        out.users = users("vus", 1, 0);
        reader.require("duration");
        out.duration = reader.time("duration", {}, from_ms(10), kDay);
        return;
      case Executor::kRampingVus:
        out.user_profile = read_stages(reader, 1, kPlanUsersMax);
        out.user_profile.start = users("start_vus", 1, 0);
        out.users = static_cast<int>(out.user_profile.highest());
        out.duration = out.user_profile.length();
        if (out.users < 1 && !reader.failed()) reader.fail("stages", "want a target above 0");
        return;
      case Executor::kConstantArrivalRate: {
        const double unit = per_second();
        reader.require("rate");
        out.rate = reader.number("rate", 1, 0.000001, kRateMax) / unit;
        reader.require("duration");
        out.duration = reader.time("duration", {}, from_ms(10), kDay);
        connections();
        if (out.rate < 0.001 || out.rate > kRateMax)
          reader.fail("rate", concat("want 0.001..", kRateMax, " requests/s, got ", out.rate));
        return;
      }
      case Executor::kRampingArrivalRate: {
        const double unit = per_second();
        out.rate_profile = read_stages(reader, 1 / unit, kRateMax);
        out.rate_profile.start = reader.number("start_rate", 0, 0, kRateMax) / unit;
        out.duration = out.rate_profile.length();
        connections();
        if (out.rate_profile.highest() <= 0 && !reader.failed())
          reader.fail("stages", "want a target above 0");
        return;
      }
      case Executor::kSharedIterations:
      case Executor::kPerVuIterations:
        out.users = users("vus", 1);
        out.iterations =
            static_cast<uint64_t>(reader.integer("iterations", 1, 1, 1'000'000'000'000));
        out.duration = reader.time("max_duration", from_seconds(600), from_ms(10), kDay);
        return;
    }
  }

  // Targets times `scale`.
  Profile read_stages(PlanReader& reader, double scale, double highest) {
    Profile out;
    reader.require("stages");
    const YamlTree* stages = reader.find("stages");
    if (stages == nullptr) return out;
    if (stages->kind != Kind::kList || stages->items.empty() || stages->items.size() > kStagesMax) {
      reader.fail("stages",
                  concat("want a list of 1..", kStagesMax,
                         " stages like {duration: 30s, target: 10}, got ", found_text(*stages)));
      return out;
    }
    for (size_t i = 0; i < stages->items.size(); ++i) {
      PlanReader stage(origin_, stages->items[i], concat(reader.path_of("stages"), "[", i, "]"));
      stage.require("target");
      stage.require("duration");
      Stage one;
      one.length = stage.time("duration", {}, {}, kDay);
      one.target = stage.number("target", 0, 0, highest) * scale;
      if (Status status = stage.finish(); !status.ok()) reader.fail(status.error());
      out.stages.push_back(one);
    }
    if (out.length() < from_ms(10) || out.length() > kDay)
      reader.fail("stages", "want stages of 10ms to 24h together");
    return out;
  }

  // think_time: 1s, or {min: 0.5s, max: 2s}
  void read_think(PlanReader& reader, PlanScenario& out) {
    const YamlTree* think = reader.find("think_time");
    if (think == nullptr) return;
    if (out.executor == Executor::kConstantArrivalRate ||
        out.executor == Executor::kRampingArrivalRate) {
      reader.fail("think_time", "has no meaning with an arrival rate");
      return;
    }
    if (think->kind != Kind::kMap) {
      out.think_min = out.think_max = reader.time("think_time", {}, {}, kDay);
      return;
    }
    PlanReader range(origin_, *think, reader.path_of("think_time"));
    out.think_min = range.time("min", {}, {}, kDay);
    range.require("max");
    out.think_max = range.time("max", {}, {}, kDay);
    if (out.think_max < out.think_min) range.fail("max", "want no less than min");
    if (Status status = range.finish(); !status.ok()) reader.fail(status.error());
  }

  Slo read_slo(PlanReader& reader) {
    Slo out;
    const YamlTree* tree = reader.find("slo");
    if (tree == nullptr) return out;
    PlanReader slo(origin_, *tree, reader.path_of("slo"));
    out.ttft = slo.time("ttft", {}, from_ms(0.001), kDay);
    out.itl = slo.time("itl", {}, from_ms(0.001), kDay);
    if (Status status = slo.finish(); !status.ok()) reader.fail(status.error());
    return out;
  }

  Status read_tasks(const YamlTree& tree, const std::string& path, PlanScenario& out) {
    if (tree.kind != Kind::kList || tree.items.empty() || tree.items.size() > kPlanTasksMax)
      return plan_error(
          origin_, tree, path,
          concat("want a list of 1..", kPlanTasksMax, " tasks, got ", found_text(tree)));
    std::set<std::string> names;
    int64_t weights = 0;
    for (size_t i = 0; i < tree.items.size(); ++i) {
      const std::string place = concat(path, "[", i, "]");
      SIS_ASSIGN(PlanTask task, read_task(origin_, tree.items[i], place));
      weights += task.weight;
      if (!names.insert(task.name).second)
        return plan_error(
            origin_, tree.items[i], place,
            concat("another task is called ", in_quotes(task.name), " as well: give it a `name`"));
      if (task.weight > 0) out.tasks.push_back(std::move(task));
    }
    if (weights == 0) return plan_error(origin_, tree, path, "all weights are 0");
    return {};
  }

  Status read_thresholds(const YamlTree& tree, Plan& plan) {
    if (tree.kind != Kind::kMap)
      return plan_error(origin_, tree, "thresholds",
                        concat("want a mapping of metrics to limits, got ", found_text(tree)));
    for (const auto& member : tree.members) {
      const std::string path = "thresholds." + member.key;
      const YamlTree& value = member.value;
      if (value.kind == Kind::kScalar) {
        plan.thresholds.push_back(
            {.metric = member.key, .expression = value.scalar, .line = value.line});
        continue;
      }
      if (value.kind != Kind::kList || value.items.empty())
        return plan_error(origin_, value, path,
                          concat("want a list like ['p(95)<300'], got ", found_text(value)));
      for (size_t i = 0; i < value.items.size(); ++i)
        SIS_TRY(read_threshold(value.items[i], concat(path, "[", i, "]"), member.key, plan));
    }
    return {};
  }

  Status read_threshold(const YamlTree& tree, const std::string& path, const std::string& metric,
                        Plan& plan) {
    PlanThreshold out{.metric = metric, .line = tree.line};
    if (tree.kind == Kind::kScalar) {
      out.expression = tree.scalar;
    } else {
      PlanReader reader(origin_, tree, path);
      reader.require("threshold");
      out.expression = reader.text("threshold");
      out.abort_on_fail = reader.flag("abort_on_fail", false);
      out.delay_abort = reader.time("delay_abort_eval", {}, {}, kDay);
      SIS_TRY(reader.finish());
    }
    plan.thresholds.push_back(std::move(out));
    return {};
  }

  const std::string& origin_;
  const PlanChoices& choices_;
  Duration timeout_ = from_seconds(30);
  bool keep_alive_ = true;
  Slo slo_;
};

}  // namespace

const char* executor_name(Executor executor) {
  for (const auto& one : kExecutors)
    if (one.executor == executor) return one.name;
  return "unknown";
}

Result<Plan> parse_plan(const std::string& text, const std::string& origin,
                        const PlanChoices& choices) {
  SIS_ASSIGN(YamlTree tree, parse_yaml(text, origin, kPlanYaml));
  return PlanParser(origin, choices).parse(std::move(tree));
}

Result<Plan> load_plan(const std::string& path, const PlanChoices& choices) {
  SIS_ASSIGN(const std::string text, read_file(path, kPlanYaml.file_bytes));
  return parse_plan(text, path, choices);
}

}  // namespace sis::perf
