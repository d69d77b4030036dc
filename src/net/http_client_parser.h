// Incremental parser of HTTP/1.x responses, for clients that must be fast and distrust the server.
//
// Bytes go in as they come off the socket; body bytes come out as views of them, undone from
// chunking. Looks only at the status line, Content-Length, Transfer-Encoding and Connection.
// Nothing is allocated unless a head arrives in pieces. Sizes are bounded; two lengths that
// disagree, a bare number that is none, or a byte out of place is an error, after which the
// connection must be closed. One thread.
//
//   parser.begin({.head_request = false});
//   while (!bytes.empty() && !parser.done()) {
//     auto step = parser.feed(bytes);       // an Error ends the connection
//     take(step->body); bytes.remove_prefix(step->consumed);
//   }
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::net {

class HttpResponseParser {
 public:
  struct Limits {
    size_t head_bytes_max = 64 << 10;  // status line and headers; trailers have the same limit
    uint64_t body_bytes_max = 256u << 20;
    std::string_view watched;  // a header's name; watched() tells its value. Must stay
  };
  struct Expect {
    bool head_request = false;  // the answer has no body, whatever its headers say
  };
  struct Step {
    size_t consumed = 0;
    std::string_view body;  // part of the fed bytes
  };

  HttpResponseParser() = default;
  explicit HttpResponseParser(const Limits& limits) : limits_(limits) {}

  void begin(Expect expect);

  // Consumes at least one byte of a non-empty `bytes` unless done(). Interim (1xx) heads are
  // skipped.
  Result<Step> feed(std::string_view bytes);
  // The peer closed. Ends a body that has no length; anything else unfinished is an error.
  Status finish_at_close();

  bool done() const { return state_ == State::kDone; }
  bool started() const { return started_; }  // some byte of this response was seen
  bool head_done() const { return state_ >= State::kBodyLength; }
  int status() const { return status_; }
  bool keep_alive() const { return keep_alive_; }      // the connection may serve another request
  uint64_t body_bytes() const { return body_bytes_; }  // seen so far
  // The last one's value, cut to kWatchedBytesMax; empty when the head has none.
  static constexpr size_t kWatchedBytesMax = 256;
  std::string_view watched() const { return watched_; }

 private:
  enum class State : uint8_t {
    kHead,
    kBodyLength,  // from here on the head is known
    kBodyClose,
    kChunkSize,
    kChunkData,
    kChunkEnd,
    kTrailer,
    kDone,
  };
  enum class Framing : uint8_t { kNone, kLength, kChunked, kClose };

  Status parse_head(std::string_view head);
  Status parse_header(std::string_view name, std::string_view value);
  Result<Step> feed_head(std::string_view bytes);
  Result<Step> feed_chunk_line(std::string_view bytes);
  Status count_body(uint64_t more);

  Limits limits_;
  State state_ = State::kDone;
  Framing framing_ = Framing::kNone;
  bool head_request_ = false, started_ = false, keep_alive_ = true, connection_close_ = false;
  bool connection_keep_alive_ = false, length_seen_ = false, chunked_seen_ = false;
  int status_ = 0;
  int interim_heads_ = 0;
  uint64_t length_ = 0;     // announced body length
  uint64_t remaining_ = 0;  // of the body or of the current chunk
  uint64_t body_bytes_ = 0;
  size_t trailer_bytes_ = 0;
  std::string watched_;
  std::string partial_;  // a head or chunk line that is not complete yet
};

}  // namespace sis::net
