// `sis bench run plan.yaml`
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "base/utc.h"
#include "perf/bench/commands.h"
#include "perf/bench/report_flags.h"
#include "perf/plan/run_plan.h"
#include "perf/plan/screen.h"
#include "perf/report/shown_url.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr Duration kPlainEvery = std::chrono::seconds(5);
constexpr const char* kAbout =
    "Runs a test plan: environments, scenarios side by side with their tasks, thresholds.\n"
    "docs/plans.md describes the file. Exit code: 0 done and every threshold held, 1 a scenario\n"
    "could not be measured, 99 a threshold was crossed, 104 the plan is wrong, 105 interrupted.";

// The line that tells how far a plan is: redrawn on a terminal, every few seconds elsewhere.
class ProgressLine {
 public:
  explicit ProgressLine(std::FILE* out)
      : out_(out), tty_(out != nullptr && isatty(fileno(out)) != 0), at_(now()) {}
  ~ProgressLine() {
    if (drawn_) fmt::print(out_, "\r\x1b[K");
  }
  void show(const PlanProgress& progress) {
    if (out_ == nullptr || (!tty_ && now() - at_ < kPlainEvery)) return;
    at_ = now();
    if (tty_)
      fmt::print(out_, "\r\x1b[K{}", plan_progress_line(progress));
    else
      fmt::print(out_, "{}\n", plan_progress_line(progress));
    std::fflush(out_);
    drawn_ = tty_;
  }

 private:
  static TimePoint now() { return std::chrono::steady_clock::now(); }
  std::FILE* out_;
  bool tty_, drawn_ = false;
  TimePoint at_;
};

Json scenario_json(const PlanScenario& scenario) {
  Json out;
  out["scenario"] = scenario.name;
  out["executor"] = executor_name(scenario.executor);
  Json tags = Json::object();
  for (const auto& [name, value] : scenario.tags) tags[name] = value;
  out["tags"] = std::move(tags);
  out["warmup"] = scenario.warmup;
  out["start_time_s"] = to_seconds(scenario.start_time);
  return out;
}

// One run of the document for each scenario.
Json runs_of(const PlanResult& result, const PlanLimits& limits) {
  Json runs = Json::array();
  for (const auto& one : result.scenarios) {
    Json run;
    if (one.outcome && one.outcome->ok()) {
      run = summary_json(one.label, one.options, **one.outcome);
    } else {
      run["what"] = one.label.what;
      run["url"] = shown_url(one.options.url.text());
      run["verdict"] = verdict_name(one.outcome ? VerdictKind::kFailed : VerdictKind::kIncomplete);
      run["verdict_reason"] =
          one.outcome ? one.outcome->error().message : "ended before its start time";
    }
    run.update(scenario_json(*one.scenario));
    run["began_s"] = one.began_s;
    run["ended_s"] = one.ended_s;
    // Limits on this scenario; those on all of them stand with each measured one.
    std::vector<ThresholdResult> about;
    for (size_t i = 0; i < result.limits.size(); ++i) {
      const bool here = limits.about(i, *one.scenario);
      const bool elsewhere =
          std::any_of(result.scenarios.begin(), result.scenarios.end(),
                      [&](const auto& other) { return limits.about(i, *other.scenario); });
      if (here || (!elsewhere && !one.scenario->warmup)) about.push_back(result.limits[i]);
    }
    if (!about.empty()) run["thresholds"] = thresholds_json(about);
    runs.push_back(std::move(run));
  }
  return runs;
}

int exit_code_of(const PlanResult& result) {
  if (result.interrupted) return kExitInterrupted;
  if (!all_met(result.limits)) return kExitThresholdsCrossed;
  for (const auto& one : result.scenarios) {
    if (one.scenario->warmup) continue;
    if (!one.outcome || !one.outcome->ok()) return kExitFailed;
    const auto kind = judge_run(one.options, **one.outcome).kind;
    if (kind == VerdictKind::kFailed || kind == VerdictKind::kIncomplete) return kExitFailed;
  }
  return kExitOk;
}

}  // namespace

int bench_run(const BenchContext& context, const std::vector<std::string>& arguments) {
  LoadFlags load;
  PlanChoices choices;
  choices.variables = context.environment;
  bool check = false;
  FlagSet flags("sis bench run PLAN.yaml [flags]", kAbout);
  flags.section("Plan");
  flags.text({{"env"}, {"PLAN_ENV"}}, &choices.environment, "NAME",
             "the environment to run against; default: the plan's default_environment, else its "
             "first");
  flags.text({{"base-url"}, {"BASE_URL"}}, &choices.base_url, "URL",
             "the server, instead of the environment's base_url");
  flags.custom({{"set"}, {}}, "NAME=VALUE", "",
               "a variable of the plan, or a value at a path like scenarios.load.vus; may be given "
               "many times",
               [&](std::string_view text) -> Status {
                 choices.settings.emplace_back(text);
                 return {};
               });
  flags.toggle({{"check"}, {}}, &check, "only read the plan and say what it would do");
  flags.section("Output");
  flags.text({{"json"}, {}}, &load.json, "FILE|-",
             "all figures as JSON; - prints them instead of the text");
  add_report_flags(flags, &load.reports);
  flags.toggle({{"verbose"}, {"VERBOSE"}}, &load.verbose, "the whole summary of every scenario");
  flags.toggle({{"progress"}, {}}, &load.progress, "the progress line on stderr");

  auto others = flags.parse(arguments, context.environment);
  if (!others.ok()) return complain(context, others.error(), kExitBadThreshold);
  if (flags.help_wanted()) {
    fmt::print(context.out, "{}", flags.help());
    return kExitOk;
  }
  if (others->size() != 1)
    return complain(
        context,
        Error{Code::kInvalidArgument,
              concat("want one plan, as in: sis bench run plan.yaml; got ", others->size())},
        kExitBadThreshold);
  const auto plan = load_plan(others->front(), choices);
  if (!plan.ok()) return complain(context, plan.error(), kExitBadThreshold);
  const auto limits = PlanLimits::create(*plan);
  if (!limits.ok()) return complain(context, limits.error(), kExitBadThreshold);
  std::FILE* out = load.json == "-" ? context.messages : context.out;
  if (check) {
    // Workloads are made as well: a model may be missing.
    for (const auto& scenario : plan->scenarios) {
      if (scenario.users == 0) {
        fmt::print(out, "{}: left out, it has no users\n", scenario.name);
        continue;
      }
      const auto workload = make_workload(*plan, scenario, plan->environment, 0);
      if (!workload.ok()) return complain(context, workload.error(), kExitBadThreshold);
      fmt::print(out, "{}: {} from {} for {}, {} tasks{}\n", scenario.name,
                 executor_name(scenario.executor), duration_text(scenario.start_time),
                 duration_text(scenario.duration), scenario.tasks.size(),
                 scenario.warmup ? ", warm-up" : "");
    }
    fmt::print(out, "{} thresholds; at {}\n", plan->thresholds.size(),
               shown_url(plan->environment.url.text()));
    return kExitOk;
  }

  if (const Status status = load.check_reports(); !status.ok())
    return complain(context, status.error(), kExitUsage);
  const std::string started = utc_now();
  Result<PlanResult> result = [&] {
    ProgressLine line(load.progress ? context.messages : nullptr);
    return run_plan(*plan, *limits, context.stop, salt_of_now(),
                    [&](const PlanProgress& progress) { line.show(progress); });
  }();
  if (!result.ok()) return complain(context, result.error(), kExitBadThreshold);
  for (const auto& one : result->scenarios) {
    if (!one.outcome) {
      fmt::print(out, "{}: not begun\n\n", one.scenario->name);
    } else if (!one.outcome->ok()) {
      fmt::print(out, "{}: {}\n\n", one.scenario->name, one.outcome->error().message);
    } else {
      fmt::print(out, "{}\n", summary_text(one.label, one.options, **one.outcome, load.verbose));
    }
  }
  fmt::print(out, "{}", plan_totals_text(*result));
  if (result->aborted) fmt::print(out, "\nended early: a threshold with abortOnFail was crossed\n");
  const int written = write_json(context, load, started, runs_of(*result, *limits));
  const int exit_code = exit_code_of(*result);
  return exit_code != kExitOk ? exit_code : written;
}

}  // namespace sis::perf
