#include "perf/bench/each_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/utc.h"

namespace sis::perf {

int run_each_model(const BenchContext& context, const LoadFlags& load, const RunOptions& options,
                   const std::vector<std::string>& models, const MakeLoad& make,
                   const AfterRun& after) {
  const std::string started = utc_now();
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  int exit_code = kExitOk;
  for (const auto& model : models) {
    RunLabel label{.model = model};
    const auto workload = make(model, label);
    if (!workload.ok()) return complain(context, workload.error(), kExitUsage);
    if (!runs.empty()) fmt::print(load.json == "-" ? context.messages : context.out, "\n");
    const size_t before = runs.size();
    exit_code =
        std::max(exit_code, run_and_report(context, load, options, label, **workload, runs));
    for (size_t i = before; after && i < runs.size(); ++i) after(runs[i]);
    if (context.stop != nullptr && context.stop->load()) break;
  }
  return std::max(exit_code, write_json(context, load, started, runs));
}

}  // namespace sis::perf
