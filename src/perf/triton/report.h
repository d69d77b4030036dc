// perf_analyzer's report, line by line, so that eyes and scripts used to it find everything.
#pragma once

#include <span>
#include <string>

#include "perf/triton/level.h"
#include "perf/triton/model.h"
#include "perf/triton/settings.h"

namespace sis::perf {

// "*** Measurement Settings ***" and what follows it; `model` is null for the OpenAI kind.
std::string settings_text(const PerfSettings& settings);
// "Request concurrency: 4"
std::string level_title(const PerfSettings& settings, double value);
// The Client and Server blocks of a level.
std::string level_text(const PerfSettings& settings, const PerfModel* model,
                       const PerfLevel& level);
// "Inferences/Second vs. Client Average Batch Latency" and a line for each level.
std::string closing_text(const PerfSettings& settings, std::span<const PerfLevel> levels);

// Where an answer's time went, as the client saw it. In us.
struct HttpMeans {
  int64_t total = 0, send = 0, wait = 0, receive = 0;
};
HttpMeans http_means(const Tally& tally);

// Percentiles of the report, rising: 50, 90, 95, 99 and the one that was asked for.
std::vector<int64_t> shown_percentiles(const PerfSettings& settings);

}  // namespace sis::perf
