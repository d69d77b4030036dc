// From a scenario to what run_load() takes.
#include "base/strings.h"
#include "perf/load/mix.h"
#include "perf/plan/headers.h"
#include "perf/plan/plan.h"

namespace sis::perf {

RunOptions run_options(const Plan& plan, const PlanScenario& scenario) {
  RunOptions out{.url = scenario.url ? *scenario.url : plan.environment.url,
                 .verify_tls = plan.environment.verify_tls};
  out.connections = scenario.users;
  out.threads = scenario.threads;
  out.keep_alive = scenario.keep_alive;
  out.timeout = scenario.timeout;
  out.users = scenario.user_profile;
  out.think_min = scenario.think_min;
  out.think_max = scenario.think_max;
  out.rate = scenario.rate;
  out.rates = scenario.rate_profile;
  out.arrivals = scenario.arrivals;
  out.seed = plan.seed;
  out.spin = scenario.spin;
  out.requests = scenario.iterations_of_all();
  if (scenario.executor == Executor::kPerVuIterations) out.requests_per_user = scenario.iterations;
  out.duration = scenario.duration;
  out.slo = scenario.slo;
  return out;
}

Result<std::unique_ptr<Workload>> make_workload(const Plan& plan, const PlanScenario& scenario,
                                                const PlanEnvironment& environment, uint64_t salt) {
  TaskTarget target{.environment = environment,
                    .seed = plan.seed,
                    .salt = salt,
                    .keep_alive = scenario.keep_alive,
                    .requests = scenario.iterations_of_all()};
  if (scenario.url) target.environment.url = *scenario.url;
  std::vector<MixPart> parts;
  for (const PlanTask& task : scenario.tasks) {
    auto workload = task.make(target);
    if (!workload.ok())
      return prefixed(concat(plan.file, ": scenario ", scenario.name, ", task ", task.name),
                      workload.error());
    SIS_ASSIGN(auto with, with_headers(std::move(*workload), environment.headers));
    if (scenario.tasks.size() == 1) return with;
    parts.push_back({.name = task.name,
                     .weight = static_cast<double>(task.weight),
                     .workload = std::move(with)});
    target.seed += 1;
    target.salt += uint64_t{1} << 32;
  }
  SIS_ASSIGN(auto mix, MixWorkload::create(std::move(parts)));
  return std::unique_ptr<Workload>(std::move(mix));
}

}  // namespace sis::perf
