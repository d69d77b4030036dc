// One run after another: the frame of commands that measure several models.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "perf/bench/common.h"

namespace sis::perf {

// Makes the load for a model and fills the rest of its label.
using MakeLoad =
    std::function<Result<std::unique_ptr<Workload>>(const std::string& model, RunLabel& label)>;
// Sees a finished run's JSON; may print and add to it.
using AfterRun = std::function<void(nlohmann::ordered_json& run)>;

// Runs each model, reports, writes the document. The worst exit code of all.
int run_each_model(const BenchContext& context, const LoadFlags& load, const RunOptions& options,
                   const std::vector<std::string>& models, const MakeLoad& make,
                   const AfterRun& after = nullptr);

}  // namespace sis::perf
