// Whether a webhook's signature is its sender's: HMAC-SHA256 in hexadecimal over
// "<timestamp>.<body>".
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::api {

inline constexpr size_t kSortedBytesMax = 16 << 10;

// Lower-case hexadecimal.
std::string webhook_signature(std::string_view secret, std::string_view timestamp,
                              std::string_view body);

// The digits of X-Signature as every spelling of it has them: lower case, without "sha256=".
std::string webhook_signature_digits(std::string_view given);

// `given` may begin with "sha256=" and have digits of either case. Signed is the body as it came,
// or, as senders of the reference service do, the same document with sorted keys as Python's
// json.dumps prints it (with and without spaces); the latter up to kSortedBytesMax, since a body
// has to be parsed for it before its sender is known. Compared in constant time. `body` is valid
// for reads up to 64 bytes past its end.
bool webhook_signature_matches(std::string_view secret, std::string_view timestamp,
                               std::string_view body, std::string_view given);

// Unix seconds, whole or with a fraction. kUnauthenticated when it is none, or further than
// `window_seconds` from `now_seconds`.
Status check_webhook_time(std::string_view timestamp, double now_seconds, double window_seconds);

}  // namespace sis::api
