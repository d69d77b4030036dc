// The part of a report that only runs with generated text have: time to first token, gaps, time per
// token, token rates, goodput.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "perf/load/run.h"

namespace sis::perf {

using LineFn = std::function<void(std::string_view name, const std::string& value)>;

// Nothing for answers that were not streamed.
void generation_time_lines(const Tally& tally, const RunOptions& options, const LineFn& line);
void generation_rate_lines(const Tally& tally, const RunOptions& options, const LineFn& line);
// Adds its fields to `out`.
void add_generation_json(const Tally& tally, const RunOptions& options,
                         nlohmann::ordered_json& out);

}  // namespace sis::perf
