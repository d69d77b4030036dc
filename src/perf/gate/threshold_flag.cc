#include "perf/gate/threshold_flag.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sis::perf {
namespace {

std::vector<std::string> names_of(const Workload& workload) {
  std::vector<std::string> names;
  if (workload.parts() > 1)
    for (size_t i = 0; i < workload.parts(); ++i) names.push_back(workload.part_name(i));
  return names;
}

}  // namespace

void ThresholdFlags::add_to(FlagSet& flags) {
  flags.custom({{"threshold"}, {}}, "METRIC:EXPR[,abortOnFail[,delayAbortEval=TIME]]", "",
               "what must hold, as in k6: 'http_req_duration:p(95)<500'; many times; exit code 99 "
               "when one is crossed; see docs/thresholds.md",
               [this](std::string_view text) -> Status {
                 const Status added = thresholds.add_flag(text);
                 if (!added.ok() && !wrong) wrong = prefixed("--threshold", added.error());
                 return {};
               });
}

Status ThresholdFlags::check(const Workload& workload) const {
  if (wrong) return *wrong;
  const Status scenarios = thresholds.check_scenarios(names_of(workload));
  if (!scenarios.ok()) return prefixed("--threshold", scenarios.error());
  return {};
}

ThresholdRun::ThresholdRun(const ThresholdFlags& flags, const Workload& workload)
    : thresholds_(flags.thresholds) {
  if (thresholds_.may_abort())
    watch_ = std::make_unique<ThresholdWatch>(thresholds_, names_of(workload));
}

RunOptions ThresholdRun::watched(RunOptions options) {
  if (watch_ == nullptr) return options;
  options.on_window = [watch = watch_.get(), others = options.on_window](const Window& window) {
    const bool on = !others || others(window);
    return watch->take(window) && on;
  };
  return options;
}

int ThresholdRun::judge(nlohmann::ordered_json& run, std::FILE* out) const {
  if (thresholds_.empty()) return 0;
  std::vector<ThresholdResult> results = thresholds_.evaluate(run);
  // What ended the run was crossed, whatever the answers that were still on their way made of it.
  if (watch_ != nullptr)
    for (const ThresholdResult& crossed : watch_->crossed())
      for (ThresholdResult& result : results)
        if (result.metric == crossed.metric && result.threshold == crossed.threshold)
          result = crossed;
  run["thresholds"] = thresholds_json(results);
  fmt::print(out, "{}", thresholds_text(results));
  if (watch_ != nullptr && !watch_->crossed().empty())
    fmt::print(out, "ended early: a threshold with abortOnFail was crossed\n");
  return all_met(results) ? 0 : kExitThresholdsCrossed;
}

}  // namespace sis::perf
