// When a level has been measured: perf_analyzer's rule, on figures alone.
//
//   stable   the last three windows had requests, and max/min <= 1 + threshold for their throughput
//            and for their latency (mean, or the percentile that was asked for)
//   over     a latency limit is set and each of the last three windows is at or above it
#pragma once

#include <cstdint>
#include <span>

#include "perf/report/histogram.h"

namespace sis::perf {

inline constexpr size_t kStableWindows = 3;

struct WindowFigures {
  double per_s = 0;  // 0: no request ended in it
  double latency_ms = 0;
};

bool is_stable(std::span<const WindowFigures> windows, double threshold, bool with_latency);
bool is_over(std::span<const WindowFigures> windows, double limit_ms);

// perf_analyzer's percentile: the sorted value of index floor(p/100 * (n-1) + 0.5), in ms; as exact
// as the histogram. 0 when it is empty.
double indexed_percentile_ms(const Histogram& histogram, int64_t percentile);

}  // namespace sis::perf
