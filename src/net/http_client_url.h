// The URL of a server a user named: http or https, a host, maybe a port, maybe a path.
//
// Strict on purpose: the text becomes a Host header and a request line, so control bytes, blanks,
// user names, fragments and odd hosts are refused with the reason. Nothing is resolved here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::net {

struct Url {
  bool tls = false;
  std::string host;    // without brackets: "localhost", "10.0.0.1", "::1"
  uint16_t port = 80;  // 443 for https unless written
  std::string target;  // path and query as written: "/v1?x=1"; "" when the URL ends at the port

  std::string authority()
      const;  // for the Host header; brackets for IPv6, port unless it is the default
  std::string text() const;  // the whole URL again
};

// "http://localhost:8000", "https://[::1]:8443/v1". At most 2,048 bytes.
Result<Url> parse_url(std::string_view text);

// `base` with `path` (begins with '/') behind its own path; a slash between them is never doubled.
std::string join_target(const Url& base, std::string_view path);

}  // namespace sis::net
