// A histogram for people and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "perf/report/histogram.h"

namespace sis::perf {

// "p50 1.23  p90 2.34  p95 2.40  p99 3.45  max 4.56  mean 1.50", in ms.
std::string histogram_text(const Histogram& histogram);

// Count, extremes, mean, deviation and percentiles in ms; with counts also
// [upper end in ms, count] pairs. Only the count when it is empty.
nlohmann::ordered_json histogram_json(const Histogram& histogram, bool with_counts);

}  // namespace sis::perf
