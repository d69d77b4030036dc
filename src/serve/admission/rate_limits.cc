#include "serve/admission/rate_limits.h"

#include "base/strings.h"

namespace sis::admission {

RateWindows windows_of(const RateLimits& limits, const std::string& scope) {
  RateWindows windows;
  const int64_t burst = limits.burst.value_or(0);
  if (limits.rpm)
    windows.requests.push_back({scope + "minute", *limits.rpm + burst, std::chrono::minutes(1)});
  std::optional<int64_t> rph = limits.rph;
  if (!rph && limits.rpm && burst > 0) rph = *limits.rpm * 60;
  if (rph) windows.requests.push_back({scope + "hour", *rph, std::chrono::hours(1)});
  if (limits.tokens_per_minute)
    windows.tokens =
        RateWindow{scope + "tokens", *limits.tokens_per_minute, std::chrono::minutes(1)};
  return windows;
}

std::string reset_text(Duration duration) {
  const int64_t ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  if (ms < 1000) return concat(ms < 0 ? 0 : ms, "ms");
  int64_t seconds = (ms + 999) / 1000;
  if (seconds < 60) return concat(seconds, "s");
  std::string text;
  if (seconds >= 3600) text = concat(seconds / 3600, "h");
  return text + concat(seconds % 3600 / 60, "m", seconds % 60, "s");
}

}  // namespace sis::admission
