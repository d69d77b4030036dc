// perf_analyzer's CSV files: one for the levels, rising by throughput, and one for each model that
// a composed model calls, NAME_vVERSION.FILE beside it.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "perf/triton/level.h"

namespace sis::perf {

// Names and contents; the first is settings.csv_file itself. Empty without levels.
std::vector<std::pair<std::string, std::string>> csv_files(const PerfSettings& settings,
                                                           const PerfModel* model,
                                                           std::span<const PerfLevel> levels);

Status write_text_file(const std::string& path, std::string_view text);

}  // namespace sis::perf
