#include "perf/locust/users.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.h"
#include "base/thread_team.h"
#include "perf/load/run.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr Duration kTryAgainAfter = std::chrono::seconds(1);
// A master that quits waits half a second for last figures: runs must end well within that.
constexpr Duration kWindow = std::chrono::milliseconds(100);
constexpr size_t kFaultsMax = 20;    // that wait to be told
constexpr size_t kResultsMax = 200;  // runs kept for the document

double epoch_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// A text as a Python literal; JSON's strings are such.
std::string python_text(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

// One class: its runs, one after the other, on a thread of its own.
class LocustUsers::UserClass {
 public:
  UserClass(const Plan& plan, const PlanScenario& scenario, const LocustUsersOptions& options,
            LocustStats& stats, uint64_t salt)
      : plan_(plan),
        scenario_(scenario),
        name_(user_class_name(scenario.name)),
        users_max_(options.users_max),
        seed_(options.seed),
        salt_(salt),
        stats_(stats) {}
  ~UserClass() {
    halt_ = true;
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  const std::string& name() const { return name_; }
  int users() const { return ending_ ? 0 : users_.load(); }
  bool running() const { return running_; }

  void set_users(int users, const PlanEnvironment& environment, int test) {
    users_ = users;
    if (users == 0 || (running_ && !ending_)) return;
    if (thread_.joinable()) thread_.join();
    ending_ = halt_ = false;
    running_ = true;
    environment_ = environment;
    test_ = test;
    thread_ = std::thread([this] {
      name_this_thread("sis-users");
      work();
      running_ = false;
    });
  }

  void end(bool at_once) {
    users_ = 0;
    ending_ = true;
    if (at_once) halt_ = true;
    changed_.notify_all();
  }
  void wait() {
    if (thread_.joinable()) thread_.join();
  }

  void take_faults(std::vector<std::string>& out) {
    const std::lock_guard lock(mutex_);
    out.insert(out.end(), faults_.begin(), faults_.end());
    faults_.clear();
  }
  void add_runs(Json& out) const {
    for (const Json& run : runs_) out.push_back(run);
  }

 private:
  RowName row_of(size_t part) const {
    const PlanTask& task = scenario_.tasks[std::min(part, scenario_.tasks.size() - 1)];
    return {task.method, task.name};
  }

  void note_windows(const Window& window) {
    const double until = epoch_seconds(), from = until - window.length_s;
    if (window.parts.empty()) {
      stats_.add(row_of(0), window.total, from, until);
      return;
    }
    for (size_t part = 0; part < window.parts.size(); ++part)
      stats_.add(row_of(part), window.parts[part], from, until);
  }

  // Until the class ends. A server that is not there is tried again and again, as Locust's users
  // do; each time counts as a failed request.
  void work() {
    PlanEnvironment environment = environment_;
    if (scenario_.url) environment.url = *scenario_.url;
    const auto workload = make_workload(plan_, scenario_, environment, salt_);
    if (!workload.ok()) return note_fault(workload.error().message);
    while (!ending_) {
      RunOptions options = run_options(plan_, scenario_);
      options.url = environment.url;
      options.verify_tls = environment.verify_tls;
      options.users = {};
      options.rates = {};
      options.rate = 0;
      options.users_now = &users_;
      options.connections = users_max_;
      options.requests = 0;
      options.duration = {};
      options.seed = seed_;
      options.first_index = next_index_;  // no text comes twice, in no test
      options.give_up_after = kTryAgainAfter;
      options.window = kWindow;
      // A run that on_window ends has windows it does not show any more; this one is stopped
      // when nothing is in flight.
      int64_t in_flight = 0;
      options.on_window = [this, &in_flight](const Window& window) {
        note_windows(window);
        in_flight += static_cast<int64_t>(window.total.sent) -
                     static_cast<int64_t>(window.total.ok + window.total.failed);
        if (ending_ && window.users == 0 && in_flight <= 0) halt_ = true;
        return true;
      };
      auto result = run_load(options, **workload, &halt_, {});
      if (!result.ok()) {
        if (ending_ && halt_) break;  // stopped while connecting is no fault
        stats_.add_failure(row_of(0), result.error().message, epoch_seconds());
        note_fault(result.error().message);
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, kTryAgainAfter, [this] { return ending_ || halt_; });
        continue;
      }
      next_index_ = std::max(next_index_, result->next_index);
      // Being stopped is how every test ends.
      if (ending_) result->tally.interrupted = false;
      // Too short to be a time series; the document has one by seconds.
      result->windows.clear();
      note_run(options, *result);
    }
  }

  void note_run(const RunOptions& options, const RunResult& result) {
    if (runs_.size() >= kResultsMax) return;
    RunLabel label{.what = "locust",
                   .model = environment_.model,
                   .load = concat("users of class ", name_, " as the master ordered")};
    for (const auto& task : scenario_.tasks) {
      label.counts_tokens |= task.counts_tokens;
      label.generates |= task.generates;
    }
    Json run = summary_json(label, options, result);
    run["scenario"] = scenario_.name;
    run["test"] = test_;
    runs_.push_back(std::move(run));
  }

  void note_fault(const std::string& message) {
    const std::lock_guard lock(mutex_);
    std::string fault = concat(name_, ": ", message);
    if (faults_.size() < kFaultsMax &&
        std::find(faults_.begin(), faults_.end(), fault) == faults_.end())
      faults_.push_back(std::move(fault));
  }

  const Plan& plan_;
  const PlanScenario& scenario_;
  const std::string name_;
  const int users_max_;
  const uint64_t seed_, salt_;
  LocustStats& stats_;
  PlanEnvironment environment_;
  int test_ = 0;
  std::atomic<int> users_{0};
  std::atomic<bool> running_{false};
  std::atomic<bool> ending_{false};  // no more requests
  std::atomic<bool> halt_{false};    // what is in flight is dropped as well
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> faults_;
  // The thread's while it runs.
  std::vector<Json> runs_;
  uint64_t next_index_ = 0;  // of the class's requests, over all tests
  std::thread thread_;
};

std::string user_class_name(const std::string& scenario) {
  std::string out;
  for (const char c : scenario)
    out += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
  if (out.empty() || (out.front() >= '0' && out.front() <= '9')) out.insert(0, "User_");
  return out;
}

Result<std::string> dummy_locustfile(const Plan& plan) {
  std::string out =
      "\"\"\"The user classes of a plan, for a Locust master whose workers are `sis bench "
      "serve-worker`.\n\n"
      "Written by `sis bench serve-worker --print-locustfile`. The users here do nothing: the "
      "workers send\nthe requests.\n\"\"\"\n"
      "import sys\n\nfrom locust import User, constant, task\n";
  std::set<std::string> names;
  for (const auto& scenario : plan.scenarios) {
    const std::string name = user_class_name(scenario.name);
    if (!names.insert(name).second)
      return Error{Code::kInvalidArgument,
                   concat(plan.file, ": two scenarios become the user class ", name)};
    const net::Url& url = scenario.url ? *scenario.url : plan.environment.url;
    out += concat("\n\nclass ", name, "(User):\n");
    // Host is what the web form begins with.
    out += concat("    host = ", python_text(url.text()), "\n");
    out += scenario.weight > 0 ? concat("    weight = ", scenario.weight, "\n")
                               : concat("    weight = int(", python_text(name),
                                        " in sys.argv)  # only when named on the command line\n");
    out += "    wait_time = constant(1)\n\n    @task\n    def nothing(self):\n        pass\n";
  }
  return out;
}

LocustUsers::LocustUsers(LocustUsersOptions options, LocustStats& stats)
    : options_(options), stats_(stats), environment_(options.plan->environment) {
  uint64_t salt = options_.salt;
  for (const auto& scenario : options_.plan->scenarios) {
    classes_.push_back(
        std::make_unique<UserClass>(*options_.plan, scenario, options_, stats_, salt));
    // Room for as many distinct texts as a class may send.
    salt += uint64_t{1} << 36;
  }
}

LocustUsers::~LocustUsers() = default;

Status LocustUsers::begin(const std::string& host) {
  environment_ = options_.plan->environment;
  if (!host.empty()) {
    auto url = net::parse_url(host);
    if (!url.ok()) return prefixed("the master's host", url.error());
    environment_.url = std::move(*url);
  }
  ++tests_;
  return {};
}

std::string LocustUsers::set_users(const std::map<std::string, int>& users) {
  std::string problem;
  for (const auto& [name, count] : users) {
    // Clang 14 captures no structured binding as such.
    const auto found =
        std::find_if(classes_.begin(), classes_.end(),
                     [&wanted = name](const auto& one) { return one->name() == wanted; });
    if (found == classes_.end()) {
      if (count > 0) {
        std::vector<std::string> names;
        for (const auto& one : classes_) names.push_back(one->name());
        problem = concat("the plan has no scenario for the user class ", in_quotes(name),
                         "; it has ", join_list(names));
      }
      continue;
    }
    if (count > options_.users_max)
      problem = concat(count, " users of ", name, " are more than this worker takes: --users-max ",
                       options_.users_max);
    (*found)->set_users(std::min(count, options_.users_max), environment_, tests_);
  }
  return problem;
}

std::map<std::string, int> LocustUsers::users() const {
  std::map<std::string, int> out;
  for (const auto& one : classes_) out[one->name()] = one->users();
  return out;
}

void LocustUsers::stop(Duration patience) {
  halt_at_ = std::chrono::steady_clock::now() + patience;
  for (auto& one : classes_) one->end(patience <= Duration{});
}

bool LocustUsers::idle() const {
  const bool late = std::chrono::steady_clock::now() >= halt_at_;
  bool idle = true;
  for (const auto& one : classes_) {
    if (!one->running()) continue;
    idle = false;
    if (late) one->end(true);
  }
  return idle;
}

std::vector<std::string> LocustUsers::take_faults() {
  std::vector<std::string> out;
  for (auto& one : classes_) one->take_faults(out);
  return out;
}

Json LocustUsers::runs() const {
  Json out = Json::array();
  for (const auto& one : classes_) {
    one->wait();
    one->add_runs(out);
  }
  return out;
}

}  // namespace sis::perf
