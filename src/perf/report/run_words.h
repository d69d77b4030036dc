// How a run is described in every report.
#pragma once

#include <string>

#include "perf/report/report_data.h"

namespace sis::perf {

// (name, value) lines of what was asked for: users or rate, duration, host, warm-up, ...
Words configuration_words(const RunData& run);
// (name, value) lines of where the generator ran.
Words machine_words(const Report& report);
// "POST" out of "POST with a body of 5 bytes"; of the OpenAI-style commands always POST.
std::string method_of(const RunData& run);
// "8", "1,000", "2.50": whole numbers without decimals.
std::string count_text(double value);
// "1.50 %", "0 %".
std::string percent_text(double share);

}  // namespace sis::perf
