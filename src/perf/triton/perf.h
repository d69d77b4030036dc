// `sis perf`: perf_analyzer's command on our engine. settings.h tells its flags, level.h how it
// measures, report.h what it prints.
#pragma once

#include <string>
#include <vector>

#include "perf/bench/common.h"

namespace sis::perf {

// The exit code: 0 measured, 2 the only level never became stable, 3 no request ended within a
// window, 99 anything else.
int perf(const BenchContext& context, const std::vector<std::string>& arguments);

}  // namespace sis::perf
