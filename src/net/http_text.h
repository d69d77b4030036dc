// The small grammars of HTTP header fields: tokens, lists, media types, codings, escapes, dates.
//
// Pure functions on text from outside; nothing here allocates more than a few times its input.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sis::net {

// Content codings, as Content-Encoding and Accept-Encoding name them.
enum class Coding : uint8_t { kIdentity, kGzip, kDeflate, kZstd, kBrotli };

const char* coding_name(Coding coding);  // "gzip"
// One coding's name; "x-gzip" is gzip, "" and "identity" are kIdentity. nullopt for what we do not
// know.
std::optional<Coding> parse_coding(std::string_view name);
// The best coding the client takes by q-value, zstd before br before gzip among equals; kIdentity
// when none fits (RFC 9110 12.5.3). "deflate" is never chosen: its two meanings confuse clients.
Coding choose_coding(std::string_view accept_encoding);

// token = 1*tchar (RFC 9110 5.6.2).
bool is_token(std::string_view text);
// True when `text` may stand in a header value: no control bytes but tab.
bool is_field_value(std::string_view text);
// Whether a comma separated list names `token`, ignoring case.
bool list_has_token(std::string_view list, std::string_view token);
// Visible ASCII, 1..128 bytes: an X-Request-ID that is safe to send back and to log.
bool is_echoable_id(std::string_view text);

// "/a%2Fb" -> "/a/b". Refuses broken escapes, control bytes and what is not UTF-8 once decoded.
Result<std::string> percent_decode(std::string_view text);

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date(std::time_t seconds);

}  // namespace sis::net
