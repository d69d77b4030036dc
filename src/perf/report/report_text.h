// A result document for the terminal.
#pragma once

#include <string>

#include "perf/report/report_data.h"

namespace sis::perf {

// The levels of a sweep side by side, and where throughput stops growing. Empty for others.
std::string sweep_text(const Report& report);
// Everything worth a line: each run's figures, thresholds, conclusion; the sweep's table.
std::string report_text(const Report& report);

}  // namespace sis::perf
