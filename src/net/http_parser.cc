#include "net/http_parser.h"

#include <cstring>
#include <limits>

#include "base/strings.h"

namespace sis::net {
namespace {

constexpr size_t kMethodBytesMax = 32;
constexpr uint16_t kChunkExtensionBytesMax = 1024;
constexpr uint16_t kTrailerBytesMax = 8192;

Refusal bad_request(std::string message) { return {400, std::move(message)}; }

// Visible ASCII, which is all a request target may hold; '#' never travels.
bool is_target(std::string_view text) {
  bool bad = text.empty();
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    bad |= (u <= 0x20) | (u >= 0x7F);
    bad |= u == '#';
  }
  return !bad;
}

bool is_host(std::string_view text) {
  bool bad = false;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    bad |= (u <= 0x20) | (u >= 0x7F);
    bad |= (u == '/') | (u == '@') | (u == '\\') | (u == ',') | (u == '?') | (u == '#');
  }
  return !bad;
}

std::optional<Refusal> parse_target(std::string_view target, HttpRequest& request,
                                    RequestHead& head) {
  if (!is_target(target))
    return bad_request(concat("request target: want visible ASCII, found ", in_quotes(target)));
  if (target == "*") {
    if (request.method != "OPTIONS")
      return bad_request(concat("request target: '*' is for OPTIONS, found ", request.method));
    head.asterisk = true;
    request.path = "*";
    return std::nullopt;
  }
  if (target[0] != '/') {
    // Absolute form, as proxies send it: the authority says nothing the Host header does not.
    const size_t scheme = target.find("://");
    if (scheme == std::string_view::npos ||
        !(iequals(target.substr(0, scheme), "http") || iequals(target.substr(0, scheme), "https")))
      return bad_request(concat("request target: want /path, found ", in_quotes(target)));
    target.remove_prefix(scheme + 3);
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    if (target.empty() || target[0] == '?') {
      request.path = "/";
      if (!target.empty()) request.query = target.substr(1);
      return std::nullopt;
    }
  }
  const size_t mark = target.find('?');
  if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
  target = target.substr(0, mark);
  if (target.find('%') == std::string_view::npos) {
    request.path = target;
    return std::nullopt;
  }
  auto path = percent_decode(target);
  if (!path) return bad_request(std::move(path).error().message);
  request.path = std::move(path).value();
  return std::nullopt;
}

std::optional<Refusal> parse_request_line(std::string_view line, HttpRequest& request,
                                          RequestHead& head) {
  const size_t first = line.find(' ');
  const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos)
    return bad_request(
        concat("request line: want 'METHOD /path HTTP/1.1', found ", in_quotes(line)));
  const auto method = line.substr(0, first);
  if (!is_token(method) || method.size() > kMethodBytesMax)
    return bad_request(concat("method: want a token, found ", in_quotes(method)));
  const auto version = line.substr(second + 1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (version.size() != 8 || !version.starts_with("HTTP/") || !digit(version[5]) ||
      version[6] != '.' || !digit(version[7]))
    return bad_request(concat("version: want HTTP/1.1, found ", in_quotes(version)));
  if (version[5] != '1')
    return Refusal{505, concat("version: want HTTP/1.0 or HTTP/1.1, found ", version)};
  head.http10 = version[7] == '0';
  head.keep_alive = !head.http10;
  request.head = method == "HEAD";
  request.method = request.head ? std::string_view("GET") : method;
  return parse_target(line.substr(first + 1, second - first - 1), request, head);
}

std::optional<Refusal> parse_content_length(std::string_view value, RequestHead& head) {
  if (head.content_length >= 0) return bad_request("Content-Length: want one, found several");
  bool digits = !value.empty();
  for (const char c : value) digits &= c >= '0' && c <= '9';
  if (!digits) return bad_request(concat("Content-Length: want digits, found ", in_quotes(value)));
  const auto length = parse_int(value);
  head.content_length = length.value_or(std::numeric_limits<int64_t>::max());
  return std::nullopt;
}

// Everything the head decides, gathered while its fields go by.
struct Gathered {
  int hosts = 0, transfer_encodings = 0;
  bool origin = false, request_method = false, length = false, close = false, keep = false;
};

std::optional<Refusal> note_field(std::string_view name, std::string_view value,
                                  HttpRequest& request, RequestHead& head, Gathered& seen) {
  switch (name.size()) {  // most fields are dismissed by their length
    case 4:
      if (!iequals(name, "host")) break;
      if (++seen.hosts > 1) return bad_request("Host: want one, found several");
      if (!is_host(value))
        return bad_request(concat("Host: want host:port, found ", in_quotes(value)));
      break;
    case 6:
      if (iequals(name, "expect")) {
        if (iequals(value, "100-continue"))
          head.expect_continue = true;
        else
          head.expect_unknown = true;
      } else if (iequals(name, "origin")) {
        seen.origin = true;
      }
      break;
    case 10:
      if (!iequals(name, "connection")) break;
      seen.close |= list_has_token(value, "close");
      seen.keep |= list_has_token(value, "keep-alive");
      break;
    case 12:
      if (iequals(name, "x-request-id") && request.request_id.empty() && is_echoable_id(value))
        request.request_id = value;
      break;
    case 14:
      if (!iequals(name, "content-length")) break;
      seen.length = true;
      return parse_content_length(value, head);
    case 15:
      if (iequals(name, "accept-encoding")) head.accepted = choose_coding(value);
      break;
    case 16:
      if (iequals(name, "content-encoding")) {
        const auto coding = parse_coding(value);
        if (!coding || head.body_coding != Coding::kIdentity)
          head.coding_unknown = true;
        else
          head.body_coding = *coding;
      }
      break;
    case 17:
      if (!iequals(name, "transfer-encoding")) break;
      if (++seen.transfer_encodings > 1 || !iequals(value, "chunked"))
        return bad_request(
            concat("Transfer-Encoding: want 'chunked' alone, found ", in_quotes(value)));
      head.chunked = true;
      break;
    case 29:
      if (iequals(name, "access-control-request-method")) seen.request_method = true;
      break;
    default:
      break;
  }
  return std::nullopt;
}

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (iequals(key, name)) return value;
  return {};
}

HeadScan scan_head(std::string_view data, size_t& scanned) {
  const size_t from = scanned > 3 ? scanned - 3 : 0;
  const size_t end = data.find("\r\n\r\n", from);
  scanned = data.size();
  if (end != std::string_view::npos) return {.head_bytes = end + 4};
  // Not complete. Tell early what can never become a head, instead of waiting for its time limit.
  if (!data.empty() && !is_token(data.substr(0, 1))) return {.hopeless = true};
  for (size_t lf = data.find('\n', from); lf != std::string_view::npos;
       lf = data.find('\n', lf + 1))
    if (lf == 0 || data[lf - 1] != '\r') return {.hopeless = true};
  return {};
}

std::optional<Refusal> parse_request_head(std::string_view text, HttpRequest& request,
                                          RequestHead& head) {
  size_t line_end = text.find('\r');
  if (line_end + 1 >= text.size() || text[line_end + 1] != '\n')
    return bad_request("request line: a bare CR");
  if (auto refusal = parse_request_line(text.substr(0, line_end), request, head)) return refusal;

  Gathered seen;
  const char* at = text.data() + line_end + 2;
  const char* const end = text.data() + text.size();
  request.headers.reserve(16);
  for (;;) {
    const auto* lf = static_cast<const char*>(std::memchr(at, '\n', end - at));
    if (lf == nullptr || lf == at || lf[-1] != '\r')
      return bad_request("header: want lines that end in CR LF, found a bare LF");
    const std::string_view line(at, lf - 1 - at);
    at = lf + 1;
    if (line.empty()) break;
    if (line[0] == ' ' || line[0] == '\t')
      return bad_request("header: folded lines are not accepted");
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos)
      return bad_request(concat("header: want 'name: value', found ", in_quotes(line)));
    const auto name = line.substr(0, colon);
    if (!is_token(name))
      return bad_request(concat("header name: want a token, found ", in_quotes(name)));
    auto value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
      value.remove_prefix(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    if (!is_field_value(value))
      return bad_request(concat("header ", in_quotes(name), ": control bytes in its value"));
    if (request.headers.size() == kHeadersMax)
      return Refusal{431, concat("headers: want at most ", kHeadersMax)};
    if (auto refusal = note_field(name, value, request, head, seen)) return refusal;
    request.headers.emplace_back(name, value);
  }
  if (head.chunked && seen.length)
    return bad_request("framing: want Content-Length or Transfer-Encoding, found both");
  if (head.chunked && head.http10) return bad_request("Transfer-Encoding: not known to HTTP/1.0");
  if (seen.hosts == 0 && !head.http10) return bad_request("Host: missing");
  if (seen.close)
    head.keep_alive = false;
  else if (head.http10)
    head.keep_alive = seen.keep;
  if (head.http10) head.expect_continue = head.expect_unknown = false;  // RFC 9110 10.1.1
  head.preflight = request.method == "OPTIONS" && seen.origin && seen.request_method;
  return std::nullopt;
}

ChunkDecoder::Step ChunkDecoder::next(std::string_view in) {
  size_t i = 0;
  while (i < in.size()) {
    const char c = in[i];
    switch (at_) {
      case At::kSize: {
        int digit = -1;
        if (c >= '0' && c <= '9')
          digit = c - '0';
        else if (c >= 'a' && c <= 'f')
          digit = c - 'a' + 10;
        else if (c >= 'A' && c <= 'F')
          digit = c - 'A' + 10;
        if (digit >= 0) {
          if (++digits_ > 15) return bad("chunk size: more than 15 digits");
          left_ = left_ << 4 | static_cast<uint64_t>(digit);
        } else if (digits_ == 0) {
          return bad("chunk size: want hex digits");
        } else if (c == '\r') {
          at_ = At::kSizeLf;
        } else if (c == ';' || c == ' ' || c == '\t') {
          at_ = At::kExtension;
        } else {
          return bad("chunk size: want hex digits, then CR LF");
        }
        ++i;
        break;
      }
      case At::kExtension:
        if (c == '\r')
          at_ = At::kSizeLf;
        else if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F)
          return bad("chunk extension: a control byte");
        else if (++extension_bytes_ > kChunkExtensionBytesMax)
          return bad("chunk extension: longer than 1024 bytes");
        ++i;
        break;
      case At::kSizeLf:
        if (c != '\n') return bad("chunk size: want LF after CR");
        ++i;
        at_ = left_ == 0 ? At::kTrailerStart : At::kPayload;
        digits_ = 0;
        extension_bytes_ = 0;
        break;
      case At::kPayload: {
        const size_t bytes = static_cast<size_t>(std::min<uint64_t>(left_, in.size() - i));
        left_ -= bytes;
        if (left_ == 0) at_ = At::kPayloadCr;
        return {.consumed = i + bytes, .payload = in.substr(i, bytes)};
      }
      case At::kPayloadCr:
        if (c != '\r') return bad("chunk: longer than its declared size");
        at_ = At::kPayloadLf;
        ++i;
        break;
      case At::kPayloadLf:
        if (c != '\n') return bad("chunk: want LF after CR");
        at_ = At::kSize;
        ++i;
        break;
      case At::kTrailerStart:
        if (c == '\r')
          at_ = At::kEndLf;
        else if (c == ' ' || c == '\t')
          return bad("trailer: folded lines are not accepted");
        else
          at_ = At::kTrailer;
        if (at_ == At::kTrailer) break;  // the same byte again, as part of the line
        ++i;
        break;
      case At::kTrailer:
        if (c == '\r')
          at_ = At::kTrailerLf;
        else if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F)
          return bad("trailer: a control byte");
        if (++trailer_bytes_ > kTrailerBytesMax) return bad("trailer: longer than 8192 bytes");
        ++i;
        break;
      case At::kTrailerLf:
        if (c != '\n') return bad("trailer: want LF after CR");
        at_ = At::kTrailerStart;
        ++i;
        break;
      case At::kEndLf:
        if (c != '\n') return bad("trailer: want LF after CR");
        return {.consumed = i + 1, .state = State::kDone};
    }
  }
  return {.consumed = i};
}

}  // namespace sis::net
