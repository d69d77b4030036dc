// Collected families as OpenMetrics 1.0 text (prometheus-cpp 1.0 only writes the older format).
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

namespace sis::telemetry {

inline constexpr const char* kPlainType = "text/plain; version=0.0.4; charset=utf-8";
inline constexpr const char* kOpenMetricsType =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

std::string openmetrics_text(const std::vector<prometheus::MetricFamily>& families);

}  // namespace sis::telemetry
