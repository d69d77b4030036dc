// What HttpSession keeps out of its header. Private to its two sources.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/compression.h"
#include "net/http_session.h"

namespace sis::net {

inline constexpr size_t kPipelineMax = 64;  // unanswered requests per connection
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// Answer steps of a request whose turn has not come.
struct HttpSession::Held {
  std::optional<HttpResponse> response;  // complete answer, or the head of a stream
  bool stream = false, finished = false, dropped = false;
  std::string bytes;     // of the stream
  bool interim = false;  // not a request at all: a 100 Continue in the queue
};

struct HttpSession::Body {
  ChunkDecoder chunks;
  std::unique_ptr<Decompressor> decoder;
  uint64_t left = 0;      // of a declared length
  uint64_t received = 0;  // before decoding
  TimePoint started_at{}, last_at{};
};

// The body for what no handler answers: the server's own rendering, else plain text.
HttpResponse render_refusal(const ServerOptions& options, const Refusal& refusal,
                            std::string_view path);

}  // namespace sis::net
