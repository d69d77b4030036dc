#include "net/http_client_parser.h"

#include <cstring>

#include "base/strings.h"

namespace sis::net {
namespace {

constexpr size_t kChunkLineBytesMax = 4096;
constexpr int kInterimHeadsMax = 16;

Error bad(std::string message) { return Error{Code::kInvalidArgument, std::move(message)}; }

// Digits only, no sign, no overflow.
bool parse_decimal(std::string_view text, uint64_t& value) {
  if (text.empty() || text.size() > 18) return false;
  value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return true;
}

bool parse_hex(std::string_view text, uint64_t& value) {
  if (text.empty() || text.size() > 15) return false;
  value = 0;
  for (const char c : text) {
    uint64_t digit;
    if (c >= '0' && c <= '9')
      digit = static_cast<uint64_t>(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
      digit = static_cast<uint64_t>((c | 0x20) - 'a') + 10;
    else
      return false;
    value = value << 4 | digit;
  }
  return true;
}

bool is_token_byte(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != 0 && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr;
}

bool has_list_item(std::string_view list, std::string_view item) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (iequals(trim(list.substr(0, comma)), item)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

void HttpResponseParser::begin(Expect expect) {
  state_ = State::kHead;
  framing_ = Framing::kNone;
  head_request_ = expect.head_request;
  started_ = false;
  status_ = 0;
  interim_heads_ = 0;
  body_bytes_ = remaining_ = length_ = 0;
  trailer_bytes_ = 0;
  watched_.clear();
  partial_.clear();
}

Result<HttpResponseParser::Step> HttpResponseParser::feed(std::string_view bytes) {
  if (bytes.empty()) return Step{};
  started_ = true;
  switch (state_) {
    case State::kHead:
      return feed_head(bytes);
    case State::kBodyLength:
    case State::kChunkData: {
      const size_t n = std::min<uint64_t>(remaining_, bytes.size());
      SIS_TRY(count_body(n));
      remaining_ -= n;
      if (remaining_ == 0) state_ = state_ == State::kBodyLength ? State::kDone : State::kChunkEnd;
      return Step{n, bytes.substr(0, n)};
    }
    case State::kBodyClose:
      SIS_TRY(count_body(bytes.size()));
      return Step{bytes.size(), bytes};
    case State::kChunkSize:
    case State::kChunkEnd:
    case State::kTrailer:
      return feed_chunk_line(bytes);
    case State::kDone:
      return Step{};
  }
  return Step{};
}

Status HttpResponseParser::finish_at_close() {
  if (state_ == State::kDone) return {};
  if (state_ == State::kBodyClose) {
    state_ = State::kDone;
    return {};
  }
  if (!started_) return bad("connection closed before any answer");
  if (state_ == State::kHead) return bad("connection closed inside the response head");
  if (framing_ == Framing::kLength)
    return bad(concat("connection closed after ", body_bytes_, " of ", length_, " body bytes"));
  return bad(concat("connection closed inside a chunked body after ", body_bytes_, " bytes"));
}

Result<HttpResponseParser::Step> HttpResponseParser::feed_head(std::string_view bytes) {
  // Usual case: the whole head is in one read, nothing is copied.
  if (partial_.empty()) {
    const void* end = memmem(bytes.data(), bytes.size(), "\r\n\r\n", 4);
    if (end != nullptr) {
      const size_t n = static_cast<size_t>(static_cast<const char*>(end) - bytes.data()) + 4;
      if (n > limits_.head_bytes_max)
        return bad(concat("response head over ", limits_.head_bytes_max, " bytes"));
      SIS_TRY(parse_head(bytes.substr(0, n)));
      return Step{n, {}};
    }
  }
  // A server that does not speak HTTP is told apart at once, not after 64 KiB.
  const size_t before = partial_.size();
  static constexpr std::string_view kMagic = "HTTP/1.";
  for (size_t i = before; i < kMagic.size() && i - before < bytes.size(); ++i)
    if (bytes[i - before] != kMagic[i])
      return bad(concat("not an HTTP/1.x response: ",
                        in_quotes(partial_ + std::string(bytes.substr(0, 40)), 40)));

  partial_.append(bytes.substr(0, limits_.head_bytes_max + 1));
  const size_t end = partial_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  if (end == std::string::npos) {
    if (partial_.size() > limits_.head_bytes_max)
      return bad(concat("response head over ", limits_.head_bytes_max, " bytes"));
    return Step{bytes.size(), {}};
  }
  if (end + 4 > limits_.head_bytes_max)
    return bad(concat("response head over ", limits_.head_bytes_max, " bytes"));
  const std::string head = partial_.substr(0, end + 4);
  partial_.clear();
  SIS_TRY(parse_head(head));
  return Step{head.size() - before, {}};
}

Status HttpResponseParser::parse_head(std::string_view head) {
  // "HTTP/1.1 200 OK": the reason may be empty, as may be the blank before it.
  const size_t line_end = head.find("\r\n");
  const std::string_view line = head.substr(0, line_end);
  const bool shaped = line.size() >= 12 && line.starts_with("HTTP/1.") &&
                      (line[7] == '0' || line[7] == '1') && line[8] == ' ' &&
                      (line.size() == 12 || line[12] == ' ');
  uint64_t status = 0;
  if (!shaped || !parse_decimal(line.substr(9, 3), status) || status < 100)
    return bad(concat("not an HTTP/1.x response: ", in_quotes(line, 40)));
  const bool http11 = line[7] == '1';

  status_ = static_cast<int>(status);
  connection_close_ = connection_keep_alive_ = length_seen_ = chunked_seen_ = false;
  head.remove_prefix(line_end + 2);
  while (head.size() > 2) {
    const char* end = static_cast<const char*>(std::memchr(head.data(), '\r', head.size()));
    const size_t n = static_cast<size_t>(end - head.data());  // the head ends with CRLF CRLF
    if (head[n + 1] != '\n') return bad("bare carriage return in the response head");
    const std::string_view field = head.substr(0, n);
    const size_t colon = field.find(':');
    if (colon == std::string_view::npos || colon == 0)
      return bad(concat("response header without a name: ", in_quotes(field, 60)));
    SIS_TRY(parse_header(field.substr(0, colon), field.substr(colon + 1)));
    head.remove_prefix(n + 2);
  }

  if (status_ < 200) {
    if (status_ == 101) return bad("101 Switching Protocols was not asked for");
    if (++interim_heads_ > kInterimHeadsMax) return bad("too many interim (1xx) responses");
    state_ = State::kHead;
    return {};
  }
  keep_alive_ = !connection_close_ && (http11 || connection_keep_alive_);
  if (length_seen_ && chunked_seen_)
    return bad("Content-Length and Transfer-Encoding in one response");
  if (head_request_ || status_ == 204 || status_ == 304) {
    state_ = State::kDone;
  } else if (chunked_seen_) {
    framing_ = Framing::kChunked;
    state_ = State::kChunkSize;
  } else if (length_seen_) {
    framing_ = Framing::kLength;
    if (length_ > limits_.body_bytes_max)
      return bad(
          concat("response body of ", length_, " bytes, want at most ", limits_.body_bytes_max));
    remaining_ = length_;
    state_ = length_ == 0 ? State::kDone : State::kBodyLength;
  } else {
    framing_ = Framing::kClose;
    keep_alive_ = false;
    state_ = State::kBodyClose;
  }
  return {};
}

Status HttpResponseParser::parse_header(std::string_view name, std::string_view value) {
  if (!limits_.watched.empty() && iequals(name, limits_.watched))
    watched_ = trim(value).substr(0, kWatchedBytesMax);
  // The length rules out nearly every header before any byte is compared.
  switch (name.size()) {
    case 14: {
      if (!iequals(name, "Content-Length")) break;
      uint64_t length = 0;
      if (!parse_decimal(trim(value), length))
        return bad(concat("Content-Length: want a number, got ", in_quotes(trim(value), 30)));
      if (length_seen_ && length != length_) return bad("two different Content-Length headers");
      length_seen_ = true;
      length_ = length;
      return {};
    }
    case 17:
      if (!iequals(name, "Transfer-Encoding")) break;
      if (chunked_seen_ || !iequals(trim(value), "chunked"))
        return bad(concat("Transfer-Encoding: want chunked, got ", in_quotes(trim(value), 30)));
      chunked_seen_ = true;
      return {};
    case 10:
      if (!iequals(name, "Connection")) break;
      connection_close_ |= has_list_item(value, "close");
      connection_keep_alive_ |= has_list_item(value, "keep-alive");
      return {};
    default:
      break;
  }
  for (const char c : name)
    if (!is_token_byte(c))
      return bad(concat("response header with a bad name: ", in_quotes(name, 60)));
  return {};
}

// One line of chunk framing: a size, the empty line after a chunk, or a trailer.
Result<HttpResponseParser::Step> HttpResponseParser::feed_chunk_line(std::string_view bytes) {
  const void* found = std::memchr(bytes.data(), '\n', bytes.size());
  const size_t n = found == nullptr
                       ? bytes.size()
                       : static_cast<size_t>(static_cast<const char*>(found) - bytes.data()) + 1;
  const size_t line_max = state_ == State::kTrailer ? limits_.head_bytes_max : kChunkLineBytesMax;
  if (partial_.size() + n > line_max) return bad("chunk size or trailer line is too long");
  if (found == nullptr) {
    partial_.append(bytes);
    return Step{n, {}};
  }
  std::string_view line = bytes.substr(0, n);
  if (!partial_.empty()) {
    partial_.append(line);
    line = partial_;
  }
  if (line.size() < 2 || line[line.size() - 2] != '\r')
    return bad("chunk line does not end with CRLF");
  line.remove_suffix(2);

  if (state_ == State::kChunkEnd) {
    if (!line.empty()) return bad(concat("chunk is longer than its size: ", in_quotes(line, 30)));
    state_ = State::kChunkSize;
  } else if (state_ == State::kChunkSize) {
    const std::string_view size = trim(line.substr(0, line.find(';')));  // extensions are ignored
    if (!parse_hex(size, remaining_))
      return bad(concat("chunk size: want a hex number, got ", in_quotes(size, 30)));
    state_ = remaining_ == 0 ? State::kTrailer : State::kChunkData;
  } else {
    trailer_bytes_ += line.size() + 2;
    if (trailer_bytes_ > limits_.head_bytes_max) return bad("trailers are too long");
    if (line.empty()) state_ = State::kDone;
  }
  partial_.clear();
  return Step{n, {}};
}

Status HttpResponseParser::count_body(uint64_t more) {
  body_bytes_ += more;
  if (body_bytes_ > limits_.body_bytes_max)
    return bad(concat("response body over ", limits_.body_bytes_max, " bytes"));
  return {};
}

}  // namespace sis::net
