// Due times from a file: when the requests of an open loop were sent once, or should be.
//
// One time in seconds per line, counted from the start of the run ("0.125"; blank lines and lines
// that begin with # are skipped), or a JSON array of such numbers. Times may not fall.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "perf/load/run.h"

namespace sis::perf {

inline constexpr size_t kTraceTimesMax = 50'000'000;
inline constexpr double kTraceSecondsMax = 7 * 86400;

// `name` stands in messages.
Result<std::shared_ptr<const TraceTimes>> parse_trace(std::string_view text, std::string_view name);
// Files up to 1 GiB.
Result<std::shared_ptr<const TraceTimes>> read_trace(const std::string& path);

}  // namespace sis::perf
