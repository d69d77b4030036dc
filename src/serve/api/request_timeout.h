// How long a client wants to wait for its answer, as it says itself.
//
// The header X-Request-Timeout-Ms (milliseconds) and the body's field `timeout` (seconds) shorten
// the server's own limits; the shorter one counts. Errors: kInvalidArgument, the header or
// "timeout" in `param`.
#pragma once

#include <simdjson.h>

#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_server.h"

namespace sis::api {

// A number above 0, at most a day; may come as a string.
Result<Duration> read_timeout_field(const simdjson::dom::element& value);

// When the answer is due by the header and `field`; TimePoint::max() where neither is there.
Result<TimePoint> request_deadline(const net::HttpRequest& request,
                                   std::optional<Duration> field = std::nullopt);

}  // namespace sis::api
