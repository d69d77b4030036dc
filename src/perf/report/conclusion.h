// What the figures of a report say, in sentences: computed, never guessed. Each names the figures
// it rests on.
#pragma once

#include <string>
#include <vector>

#include "perf/report/report_data.h"

namespace sis::perf {

// Of one run, the most important first; never empty.
std::vector<std::string> run_conclusions(const RunData& run);
// Of the runs together when they are a sweep: where throughput stops growing. Empty otherwise.
std::vector<std::string> sweep_conclusions(const Report& report);

// The level of a sweep beyond which more load buys little: the last one whose throughput is at
// least 10 % above the level's before. An index into report.runs; runs must be a sweep.
size_t knee_of(const Report& report);
// The runs of a sweep by rising level; all others in order.
std::vector<size_t> runs_by_level(const Report& report);

}  // namespace sis::perf
