// The bytes the truth server answers with.
#pragma once

#include <string>
#include <string_view>

namespace sis::truth {

inline constexpr std::string_view kTrivial = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
// For HTTP/1.0 clients that asked to keep the connection (ab).
inline constexpr std::string_view kTrivialKeepAlive =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";

std::string head(int status, std::string_view type, size_t body_bytes);

// A streamed chat in OpenAI's form, one HTTP chunk per event: the head with the role, the words,
// and what ends the answer (finish_reason, usage, [DONE]).
std::string sse_start();
std::string sse_piece(int number);
std::string sse_end(int pieces);

}  // namespace sis::truth
