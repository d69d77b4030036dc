// Response heads, serialised by hand into a buffer that may already hold earlier answers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/http_server.h"

namespace sis::net {

const char* reason_phrase(int status);

// The `Date:` and `Server:` lines, formatted once a second. One per I/O thread.
class DateLines {
 public:
  std::string_view get(TimePoint now);

 private:
  TimePoint valid_until_{};
  std::string lines_;
};

enum class Framing : uint8_t { kLength, kChunked, kUntilClose, kNone };
enum class Persistence : uint8_t {
  kDefault,
  kClose,
  kKeepAlive
};  // what Connection says; default: nothing

struct HeadPlan {
  std::string_view date_lines;
  std::string_view fixed_lines;  // complete lines known since the request: X-Request-ID, CORS
  Framing framing = Framing::kLength;
  uint64_t body_bytes = 0;
  Persistence persistence = Persistence::kDefault;
};

// Appends status line and headers through the blank line. Framing headers of the response's own
// list are left out, and so is a header whose name or value could break the head apart.
void append_head(std::string& out, const HttpResponse& response, const HeadPlan& plan);

// Appends one chunk of a chunked body; `bytes` must not be empty.
void append_chunk(std::string& out, std::string_view bytes);

// Lower-case hex of 128 bits.
std::string hex_id(uint64_t high, uint64_t low);

// Whether an answer of this status has a body at all (RFC 9110 6.4.1).
inline bool status_has_body(int status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace sis::net
