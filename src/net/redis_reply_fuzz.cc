// Any bytes from a port, in any pieces: replies within the bounds or an error, and none after it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "net/redis_reply.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kReplyBytesMax = 4096;
  if (size == 0) return 0;
  const size_t piece = data[0] == 0 ? size : data[0];
  std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
  sis::net::RedisReader reader(kReplyBytesMax);
  bool broken = false;
  while (!wire.empty()) {
    std::vector<sis::net::RedisReply> replies;
    const bool ok = reader.feed(wire.substr(0, piece), replies).ok();
    if (broken && (ok || !replies.empty())) std::abort();
    broken = !ok;
    for (const auto& reply : replies)
      if (reply.text.size() > kReplyBytesMax || reply.items.size() > 16384) std::abort();
    wire.remove_prefix(std::min(piece, wire.size()));
  }
  return 0;
}
