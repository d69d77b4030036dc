// Just enough of HTTP/1.1 to read what load generators send. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sis::truth {

inline constexpr size_t kHeadBytesMax = 64 << 10;
inline constexpr int64_t kBodyBytesMax = 64 << 20;

struct Request {
  bool good = false;        // otherwise the connection is spent
  std::string_view target;  // of the bytes given
  bool close = false;       // after the answer
  bool keep_alive = false;  // an HTTP/1.0 client asked for it and wants to be told
  size_t bytes = 0;         // head and body; 0: the head is not whole yet
};

// The request that `bytes` begin with. Its body may reach beyond them. Bodies need a
// Content-Length.
Request parse_request(std::string_view bytes);

}  // namespace sis::truth
