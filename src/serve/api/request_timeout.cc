#include "serve/api/request_timeout.h"

#include <algorithm>

#include "base/strings.h"
#include "serve/api/json_body.h"

namespace sis::api {
namespace {

constexpr const char* kHeader = "X-Request-Timeout-Ms";
constexpr int64_t kDaySeconds = 24 * 60 * 60;

}  // namespace

Result<Duration> read_timeout_field(const simdjson::dom::element& value) {
  const auto seconds = lenient_double(value);
  if (!seconds || !(*seconds > 0) || *seconds > static_cast<double>(kDaySeconds))
    return invalid(concat("timeout: want seconds above 0, at most ", kDaySeconds,
                          seconds ? concat(", got ", *seconds) : std::string()),
                   "timeout");
  return std::max<Duration>(from_seconds(*seconds), std::chrono::microseconds(1));
}

Result<TimePoint> request_deadline(const net::HttpRequest& request, std::optional<Duration> field) {
  TimePoint deadline = TimePoint::max();
  if (field) deadline = request.received_at + *field;
  const std::string_view text = request.header(kHeader);
  if (text.empty()) return deadline;
  const auto ms = parse_int(text);
  if (!ms || *ms < 1 || *ms > kDaySeconds * 1000)
    return invalid(concat(kHeader, ": want milliseconds from 1 to ", kDaySeconds * 1000, ", got ",
                          in_quotes(text)),
                   kHeader);
  return std::min<TimePoint>(deadline, request.received_at + std::chrono::milliseconds(*ms));
}

}  // namespace sis::api
