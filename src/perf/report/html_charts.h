// The charts of an HTML report, each empty when the run has nothing for it.
#pragma once

#include <string>

#include "perf/report/report_data.h"

namespace sis::perf {

std::string latency_over_time_chart(const RunData& run);
std::string throughput_over_time_chart(const RunData& run);
std::string users_over_time_chart(const RunData& run);
std::string first_token_over_time_chart(const RunData& run);
std::string tokens_over_time_chart(const RunData& run);
// Both from the intended and from the actual send where they differ.
std::string percentile_chart(const RunData& run);
std::string distribution_chart(const std::string& title, const HistogramData& times,
                               const std::string& style);
std::string http_time_chart(const RunData& run);
std::string server_chart(const RunData& run);
// Latency over throughput, a point per level.
std::string sweep_chart(const Report& report);
std::string sweep_throughput_chart(const Report& report);

}  // namespace sis::perf
