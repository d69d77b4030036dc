#include "perf/plan/run_plan.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "base/thread_team.h"
#include "perf/bench/flags.h"

namespace sis::perf {
namespace {

constexpr Duration kLookEvery = std::chrono::milliseconds(100);
constexpr Duration kJudgeEvery = std::chrono::seconds(2);  // as k6 does

TimePoint now() { return std::chrono::steady_clock::now(); }

std::string load_words(const PlanScenario& scenario) {
  std::string out = executor_name(scenario.executor);
  for (const auto& task : scenario.tasks)
    out += concat(&task == &scenario.tasks.front() ? ": " : ", ", task.name,
                  scenario.tasks.size() > 1 ? concat(" x ", task.weight) : "");
  if (scenario.think_max > Duration{})
    out += scenario.think_min == scenario.think_max
               ? concat("; think ", duration_text(scenario.think_min))
               : concat("; think ", duration_text(scenario.think_min), " to ",
                        duration_text(scenario.think_max));
  return out;
}

// One scenario while it runs.
class Runner {
 public:
  Runner(const Plan& plan, const PlanScenario& scenario, std::unique_ptr<Workload> workload)
      : scenario_(scenario), workload_(std::move(workload)) {
    result_.scenario = &scenario;
    result_.options = run_options(plan, scenario);
    result_.label = {
        .what = scenario.name, .model = plan.environment.model, .load = load_words(scenario)};
    for (const auto& task : scenario.tasks) {
      result_.label.counts_tokens |= task.counts_tokens;
      result_.label.generates |= task.generates;
    }
    if (scenario.tasks.size() == 1) result_.label.items_name = scenario.tasks.front().items_name;
    figures_.scenario = &scenario;
    if (scenario.tasks.size() > 1) figures_.tasks.resize(scenario.tasks.size());
  }
  ~Runner() {
    stop();
    wait();
  }

  void begin(TimePoint plan_start, bool keep_figures) {
    thread_ = std::thread([this, plan_start, keep_figures] {
      name_this_thread("sis-scenario");
      work(plan_start, keep_figures);
      done_ = true;
    });
  }
  void stop() {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  // The time after the end that answers had is over.
  void cut() {
    cut_ = true;
    stop();
  }
  void wait() {
    if (thread_.joinable()) thread_.join();
  }
  bool done() const { return done_; }
  bool begun() const { return begun_; }

  ScenarioFigures figures() {
    const std::lock_guard lock(mutex_);
    return figures_;
  }
  void add_to(PlanProgress& progress) {
    const std::lock_guard lock(mutex_);
    progress.requests += progress_.ok + progress_.failed;
    progress.failures += progress_.failed;
    progress.users_max += scenario_.users;
    if (done_) return;
    ++(begun_ ? progress.scenarios_running : progress.scenarios_waiting);
    if (begun_) progress.users += progress_.users;
  }
  ScenarioResult& result() { return result_; }  // when done
  const PlanScenario& scenario() const { return scenario_; }

 private:
  void work(TimePoint plan_start, bool keep_figures) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_until(lock, plan_start + scenario_.start_time, [this] { return stop_.load(); });
      if (stop_) return;
    }
    begun_ = true;
    result_.began_s = to_seconds(now() - plan_start);
    RunOptions options = result_.options;
    if (keep_figures)
      options.on_window = [&](const Window& window) {
        const std::lock_guard lock(mutex_);
        figures_.total.merge(window.total);
        for (size_t i = 0; i < figures_.tasks.size() && i < window.parts.size(); ++i)
          figures_.tasks[i].merge(window.parts[i]);
        figures_.from_s = result_.began_s;
        figures_.until_s = to_seconds(now() - plan_start);
        figures_.users = window.users;
        return true;
      };
    auto outcome = run_load(options, *workload_, &stop_, [&](const Progress& progress) {
      const std::lock_guard lock(mutex_);
      progress_ = progress;
    });
    result_.ended_s = to_seconds(now() - plan_start);
    const std::lock_guard lock(mutex_);
    if (outcome.ok()) {
      // Answers that took longer than graceful_stop are in `abandoned`; the run is whole.
      if (cut_) outcome->tally.interrupted = false;
      figures_.total = outcome->tally;
      figures_.tasks = outcome->parts;
      figures_.from_s = result_.began_s;
      figures_.until_s =
          std::max(result_.began_s + outcome->tally.wall_s(), result_.began_s + 1e-9);
      progress_.ok = outcome->tally.ok;
      progress_.failed = outcome->tally.failed;
    }
    result_.outcome = std::move(outcome);
  }

  const PlanScenario& scenario_;
  std::unique_ptr<Workload> workload_;
  ScenarioResult result_;
  std::atomic<bool> stop_{false}, cut_{false}, begun_{false}, done_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  Progress progress_;
  ScenarioFigures figures_;
  std::thread thread_;
};

}  // namespace

Result<PlanResult> run_plan(const Plan& plan, const PlanLimits& limits,
                            const std::atomic<bool>* stop, uint64_t salt,
                            const std::function<void(const PlanProgress&)>& show) {
  std::vector<std::unique_ptr<Runner>> runners;
  Duration length{};
  for (const auto& scenario : plan.scenarios) {
    if (scenario.users == 0) continue;
    SIS_ASSIGN(auto workload, make_workload(plan, scenario, plan.environment, salt));
    salt += uint64_t{1} << 40;
    length = std::max(length, scenario.ends_at());
    runners.push_back(std::make_unique<Runner>(plan, scenario, std::move(workload)));
  }
  const TimePoint start = now();
  for (auto& runner : runners) runner->begin(start, limits.may_abort());

  PlanResult out;
  TimePoint judge_at = start + kJudgeEvery;
  std::vector<ThresholdResult> crossed;
  const auto stop_all = [&] {
    for (auto& runner : runners) runner->stop();
  };
  const auto all_done = [&] {
    return std::all_of(runners.begin(), runners.end(),
                       [](const auto& runner) { return runner->done(); });
  };
  while (!all_done()) {
    std::this_thread::sleep_for(kLookEvery);
    if (stop != nullptr && stop->load() && !out.interrupted) {
      out.interrupted = true;
      stop_all();
    }
    const Duration since = now() - start;
    for (auto& runner : runners)
      if (since > runner->scenario().ends_at() + runner->scenario().graceful_stop) runner->cut();
    if (limits.may_abort() && !out.aborted && now() >= judge_at) {
      judge_at += kJudgeEvery;
      std::vector<ScenarioFigures> figures;
      for (auto& runner : runners) figures.push_back(runner->figures());
      crossed = limits.crossed(figures, since);
      if (!crossed.empty()) {
        out.aborted = true;
        stop_all();
      }
    }
    if (show) {
      PlanProgress progress{.elapsed_s = to_seconds(since), .length_s = to_seconds(length)};
      for (auto& runner : runners) runner->add_to(progress);
      show(progress);
    }
  }
  out.seconds = to_seconds(now() - start);
  for (auto& runner : runners) {
    runner->wait();
    out.figures.push_back(runner->figures());
    out.scenarios.push_back(std::move(runner->result()));
  }
  out.limits = limits.judge(out.figures);
  for (auto& limit : out.limits)
    for (const auto& one : crossed)
      if (one.metric == limit.metric && one.threshold == limit.threshold) {
        limit.aborted = true;
        // It was crossed when it counted, whatever the last answers made of it.
        limit.ok = false;
        limit.value = one.value;
      }
  return out;
}

}  // namespace sis::perf
