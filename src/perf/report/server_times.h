// How the server says it spent a request's time, from the names of several servers.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perf/report/report_data.h"

namespace sis::perf {

// Means per request.
struct ServerTimes {
  double queue_ms = 0, input_ms = 0, infer_ms = 0, output_ms = 0;

  double compute_ms() const { return input_ms + infer_ms + output_ms; }
};

// Nothing when no server of the run told both queue and compute (or prefill and decode) times.
std::optional<ServerTimes> server_times(const RunData& run);

// The parts a client's mean service time is made of, in order, for a stacked bar: "queue",
// "prefill", "decode" or "compute", and "network and rest", which the server does not see. Empty
// when no server told a time.
std::vector<std::pair<std::string, double>> server_share(const RunData& run);

}  // namespace sis::perf
