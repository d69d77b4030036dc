// The flags that turn a result into files, the same for every command that has results.
#pragma once

#include "perf/bench/flags.h"
#include "perf/report/report_files.h"

namespace sis::perf {

// --html, --csv, --markdown, --hgrm, --summary-export, --handle-summary, --machine-summary.
void add_report_flags(FlagSet& flags, ReportFiles* files);

}  // namespace sis::perf
