// Where a Redis is and who we are there: redis://[[user]:password@]host[:port][/db]
//
// User and password may be percent-encoded. rediss:// is refused: Debian's hiredis has no TLS; a
// tunnel such as stunnel gives it. Nothing is resolved here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::net {

struct RedisUrl {
  std::string host;  // without brackets
  uint16_t port = 6379;
  std::string user, password;  // secret; empty: none
  int db = 0;

  std::string place() const;  // "redis://localhost:6379/0": without user and password, for logs
};

// kInvalidArgument says what is wrong and never repeats the URL, which may hold a password.
Result<RedisUrl> parse_redis_url(std::string_view text);

}  // namespace sis::net
