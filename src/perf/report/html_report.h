// A report as one HTML file that opens without a network: verdict, thresholds, figures, charts,
// configuration.
#pragma once

#include <string>

#include "perf/report/report_data.h"

namespace sis::perf {

std::string html_report(const Report& report);

}  // namespace sis::perf
