// Percentile distributions in HdrHistogram's text form (.hgrm), which its plotters read.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "perf/report/report_data.h"

namespace sis::perf {

// The lines of outputPercentileDistribution(), five steps per halving of the rest, values in ms:
//
//   value  percentile  count up to here  1 / (1 - percentile)
//
// Empty histograms have the frame alone.
std::string hgrm_text(const HistogramData& histogram);

// (suffix, text) for each file a document needs: the first run's latency has no suffix, further
// runs ".2", ".3"; times from the actual send, where they differ, end in ".service".
std::vector<std::pair<std::string, std::string>> hgrm_files(const Report& report);

}  // namespace sis::perf
