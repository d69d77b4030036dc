#include "net/http_render.h"

#include <charconv>
#include <ctime>

#include "base/strings.h"
#include "net/http_text.h"

namespace sis::net {
namespace {

void append_number(std::string& out, uint64_t value, int base = 10) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, base).ptr;
  out.append(digits, end);
}

// Headers this layer decides about; a handler's own would contradict them.
bool is_ours(std::string_view name) {
  switch (name.size()) {
    case 4:
      return iequals(name, "date");
    case 6:
      return iequals(name, "server");
    case 10:
      return iequals(name, "connection") || iequals(name, "keep-alive");
    case 12:
      return iequals(name, "x-request-id");
    case 14:
      return iequals(name, "content-length");
    case 17:
      return iequals(name, "transfer-encoding");
    default:
      return false;
  }
}

}  // namespace

const char* reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 424:
      return "Failed Dependency";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

std::string_view DateLines::get(TimePoint now) {
  if (now >= valid_until_) {
    const auto wall = std::chrono::system_clock::now();
    const auto second = std::chrono::floor<std::chrono::seconds>(wall);
    lines_ = concat("Date: ", http_date(std::chrono::system_clock::to_time_t(second)),
                    "\r\nServer: sis\r\n");
    valid_until_ =
        now + std::chrono::duration_cast<Duration>(second + std::chrono::seconds(1) - wall);
  }
  return lines_;
}

void append_head(std::string& out, const HttpResponse& response, const HeadPlan& plan) {
  if (response.status == 200) {
    out.append("HTTP/1.1 200 OK\r\n");
  } else {
    out.append("HTTP/1.1 ");
    append_number(out, static_cast<uint64_t>(response.status));
    out.push_back(' ');
    out.append(reason_phrase(response.status)).append("\r\n");
  }
  out.append(plan.date_lines);
  out.append(plan.fixed_lines);
  if (!response.content_type.empty() && plan.framing != Framing::kNone &&
      is_field_value(response.content_type))
    out.append("Content-Type: ").append(response.content_type).append("\r\n");
  switch (plan.framing) {
    case Framing::kLength:
      out.append("Content-Length: ");
      append_number(out, plan.body_bytes);
      out.append("\r\n");
      break;
    case Framing::kChunked:
      out.append("Transfer-Encoding: chunked\r\n");
      break;
    case Framing::kUntilClose:
    case Framing::kNone:
      break;
  }
  if (plan.persistence == Persistence::kClose)
    out.append("Connection: close\r\n");
  else if (plan.persistence == Persistence::kKeepAlive)
    out.append("Connection: keep-alive\r\n");
  for (const auto& [name, value] : response.headers) {
    if (is_ours(name) || !is_token(name) || !is_field_value(value)) continue;
    out.append(name).append(": ").append(value).append("\r\n");
  }
  out.append("\r\n");
}

void append_chunk(std::string& out, std::string_view bytes) {
  append_number(out, bytes.size(), 16);
  out.append("\r\n").append(bytes).append("\r\n");
}

std::string hex_id(uint64_t high, uint64_t low) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string id(32, '0');
  for (int i = 0; i < 16; ++i) {
    id[15 - i] = kDigits[high >> (4 * i) & 15];
    id[31 - i] = kDigits[low >> (4 * i) & 15];
  }
  return id;
}

}  // namespace sis::net
