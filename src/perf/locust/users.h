// The users a Locust master orders: one class for each scenario of the plan, each class one load
// run whose number of users changes as the orders come.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>
#include <vector>

#include "perf/locust/session.h"
#include "perf/locust/stats.h"
#include "perf/plan/plan.h"

namespace sis::perf {

struct LocustUsersOptions {
  const Plan* plan = nullptr;  // outlives the users
  int users_max = 1000;        // of one class on this worker
  uint64_t seed = 1, salt = 0;
};

// The name of a scenario as a Python class: "load-test" -> "load_test".
std::string user_class_name(const std::string& scenario);
// A locustfile that tells a master the classes of `plan`; its users do nothing. Errors: two
// scenarios with one class name.
Result<std::string> dummy_locustfile(const Plan& plan);

class LocustUsers final : public UserControl {
 public:
  // `stats` outlives this.
  LocustUsers(LocustUsersOptions options, LocustStats& stats);
  ~LocustUsers() override;

  Status begin(const std::string& host) override;
  std::string set_users(const std::map<std::string, int>& users) override;
  std::map<std::string, int> users() const override;
  void stop(Duration patience) override;
  bool idle() const override;
  std::vector<std::string> take_faults() override;

  // Every run that ended, as in the documents of `sis bench`; when idle.
  nlohmann::ordered_json runs() const;

 private:
  class UserClass;

  LocustUsersOptions options_;
  LocustStats& stats_;
  PlanEnvironment environment_;  // of the test that runs
  TimePoint halt_at_{};          // after stop(): when patience is over
  int tests_ = 0;
  std::vector<std::unique_ptr<UserClass>> classes_;
};

}  // namespace sis::perf
