// What a client may do, and the sliding windows that come of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serve/admission/rate_log.h"

namespace sis::admission {

// As people write them down; absent: not limited.
struct RateLimits {
  std::optional<int64_t> rpm;                // requests per minute
  std::optional<int64_t> rph;                // requests per hour
  std::optional<int64_t> burst;              // requests a minute may hold on top of rpm
  std::optional<int64_t> tokens_per_minute;  // prompt and completion
  std::optional<int64_t> concurrent;         // requests in progress; per process
  bool operator==(const RateLimits&) const = default;
};

struct RateWindows {
  std::vector<RateWindow> requests;  // at most two
  std::optional<RateWindow> tokens;
};

// With a burst a single minute may hold rpm + burst; rph, then rpm * 60 unless given, keeps the
// hour at its rate. `scope` tells windows of different rules apart ("/v1/infer ").
RateWindows windows_of(const RateLimits& limits, const std::string& scope);

// "250ms", "1s", "6m0s", "1h0m0s", rounded up; as OpenAI's x-ratelimit-reset-*.
std::string reset_text(Duration duration);

}  // namespace sis::admission
