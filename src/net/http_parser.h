// HTTP/1.x request parsing on text that has already arrived; no sockets, no buffers of its own.
//
// Strict where leniency lets two parsers disagree (request smuggling, RFC 9112 11.2): CRLF only, no
// folded lines, no blank before a colon, one Content-Length or one `Transfer-Encoding: chunked`,
// never both.
// Strictness is why it is our own; net_server_bench times it beside Boost.Beast's, about as fast.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_server.h"
#include "net/http_text.h"

namespace sis::net {

// Why a request is answered before a handler sees it.
struct Refusal {
  int status = 400;
  std::string message;
};

// What framing and negotiation need of a head, beyond HttpRequest.
struct RequestHead {
  bool http10 = false;
  bool keep_alive = true;
  bool chunked = false;
  bool expect_continue = false;
  bool expect_unknown = false;
  bool coding_unknown = false;  // Content-Encoding is none of ours
  bool preflight = false;       // OPTIONS with Origin and Access-Control-Request-Method
  bool asterisk = false;        // OPTIONS *
  int64_t content_length = -1;  // -1 when not declared; INT64_MAX for more than that
  Coding body_coding = Coding::kIdentity;
  Coding accepted = Coding::kIdentity;  // best for the answer
};

inline constexpr size_t kHeadersMax = 128;

// Finds the end of the head in `data`; `scanned` remembers how far earlier calls looked.
struct HeadScan {
  size_t head_bytes = 0;  // with the blank line; 0: not complete yet
  bool hopeless =
      false;  // can never become a head: starts with no token, or a line ends in bare LF
};
HeadScan scan_head(std::string_view data, size_t& scanned);

// Parses a complete head (as scan_head measured it). Fills request.request_id when the client's is
// fit to echo, also when it refuses, as far as it came.
std::optional<Refusal> parse_request_head(std::string_view head_text, HttpRequest& request,
                                          RequestHead& head);

// Undoes `Transfer-Encoding: chunked` piece by piece; the trailer is checked for syntax and
// dropped.
class ChunkDecoder {
 public:
  enum class State : uint8_t { kMore, kDone, kBad };
  struct Step {
    size_t consumed = 0;         // bytes of the input used up, payload included
    std::string_view payload{};  // part of the input
    State state = State::kMore;  // kMore with consumed == input size: wants more input
  };
  // Looks at `in` up to the end of the first payload piece it meets.
  Step next(std::string_view in);
  const char* error() const { return error_; }  // after kBad

 private:
  enum class At : uint8_t {
    kSize,
    kExtension,
    kSizeLf,
    kPayload,
    kPayloadCr,
    kPayloadLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kEndLf
  };
  Step bad(const char* error) {
    error_ = error;
    return {.state = State::kBad};
  }

  At at_ = At::kSize;
  uint8_t digits_ = 0;
  uint16_t extension_bytes_ = 0;
  uint16_t trailer_bytes_ = 0;
  uint64_t left_ = 0;  // of the current chunk
  const char* error_ = "";
};

}  // namespace sis::net
