// A whole test plan: where the servers are, what is sent to them by how many users or how often,
// and which limits the figures must keep. Read from YAML; running it is run_plan.h's part.
//
//   environments:            # the first one, default_environment or --env is used
//     local: {base_url: http://localhost:8000}
//   scenarios:               # side by side, as in k6's options
//     browse: {executor: ramping-vus, stages: [{duration: 30s, target: 10}], tasks: [...]}
//   thresholds:
//     http_req_duration: ['p(95)<300']
//
// docs/plans.md describes every key.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/bench/flags.h"
#include "perf/load/profile.h"
#include "perf/load/run.h"
#include "perf/load/workload.h"

namespace sis::perf {

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

struct PlanEnvironment {
  std::string name;
  net::Url url;
  std::string api_key;  // sent as bearer token unless empty
  std::string model;    // of tasks that name none
  NamedTexts headers;   // added to every request
  bool verify_tls = true;
};

// What a task's requests are made for.
struct TaskTarget {
  PlanEnvironment environment;
  uint64_t seed = 1;
  uint64_t salt = 0;  // distinct texts of two tasks differ if their salts do
  bool keep_alive = true;
  uint64_t requests = 0;  // of the run, if known
};

struct PlanTask {
  std::string name;  // of its rows in reports
  std::string kind;  // "http", "chat", ...
  std::string method = "POST";
  int64_t weight = 1;
  std::string items_name;
  bool counts_tokens = false, generates = false, streams = false;
  std::function<Result<std::unique_ptr<Workload>>(const TaskTarget&)> make;
};

enum class Executor : uint8_t {
  kConstantVus,
  kRampingVus,
  kConstantArrivalRate,
  kRampingArrivalRate,
  kSharedIterations,
  kPerVuIterations,
};
const char* executor_name(Executor executor);

struct PlanScenario {
  std::string name;
  Executor executor = Executor::kConstantVus;
  Duration start_time{}, duration{}, graceful_stop = from_seconds(30);
  // Or connections that may be busy, of the arrival-rate executors. 0: the scenario is left out.
  int users = 1;
  Profile user_profile;  // kRampingVus
  double rate = 0;       // kConstantArrivalRate, requests/s
  Profile rate_profile;  // kRampingArrivalRate, requests/s
  Arrivals arrivals = Arrivals::kConstant;
  uint64_t iterations = 0;  // kSharedIterations: in all; kPerVuIterations: of each user
  Duration think_min{}, think_max{};
  Duration timeout = from_seconds(30);
  bool keep_alive = true;
  int threads = 1;
  bool spin = false;    // RunOptions::spin
  bool warmup = false;  // not in totals and thresholds
  int64_t weight = 1;   // of its users among others, when a Locust master orders; 0: if named
  NamedTexts tags;      // "scenario" among them
  std::optional<net::Url> url;  // instead of the environment's
  Slo slo;
  std::vector<PlanTask> tasks;

  Duration ends_at() const { return start_time + duration; }
  // Of all users together; 0: only the time ends the scenario.
  uint64_t iterations_of_all() const {
    return executor == Executor::kPerVuIterations ? iterations * static_cast<uint64_t>(users)
                                                  : iterations;
  }
};

struct PlanThreshold {
  std::string metric;      // "http_req_duration{scenario:load}"
  std::string expression;  // "p(95)<300"
  bool abort_on_fail = false;
  Duration delay_abort{};
  int line = 0;
};

struct Plan {
  std::string file, name;
  uint64_t seed = 1;
  PlanEnvironment environment;
  std::vector<PlanScenario> scenarios;  // at least one
  std::vector<PlanThreshold> thresholds;
};

struct PlanChoices {
  std::string environment;            // --env; empty: the plan's default
  std::vector<std::string> settings;  // --set: "users=20", "scenarios.load.vus=4"
  std::string base_url;               // instead of the environment's
  Environment variables;              // of the process, for ${env:NAME}
};

inline constexpr int kPlanUsersMax = 20000;
inline constexpr size_t kPlanScenariosMax = 32;
inline constexpr size_t kPlanTasksMax = 64;

// `origin` names the text in messages and is the path that files in the plan are relative to.
Result<Plan> parse_plan(const std::string& text, const std::string& origin,
                        const PlanChoices& choices);
Result<Plan> load_plan(const std::string& path, const PlanChoices& choices);

// What run_load() is told about a scenario; the workload and hooks are the caller's.
RunOptions run_options(const Plan& plan, const PlanScenario& scenario);
// One task as it is, several mixed by weight; several are parts of the workload in their order.
Result<std::unique_ptr<Workload>> make_workload(const Plan& plan, const PlanScenario& scenario,
                                                const PlanEnvironment& environment, uint64_t salt);

}  // namespace sis::perf
