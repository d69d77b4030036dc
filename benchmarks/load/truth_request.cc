#include "truth_request.h"

#include "base/strings.h"

namespace sis::truth {
namespace {

// What one header says; false when it makes the request a bad one.
bool take_header(Request& request, std::string_view header) {
  const size_t colon = header.find(':');
  // Lengths of the three names that matter; most headers are none of them.
  if (colon != 10 && colon != 14 && colon != 17) return true;
  const std::string_view name = header.substr(0, colon), value = trim(header.substr(colon + 1));
  if (iequals(name, "content-length")) {
    const auto length = parse_int(value);
    if (!length || *length < 0 || *length > kBodyBytesMax) return false;
    request.bytes += static_cast<size_t>(*length);
  } else if (iequals(name, "connection") && iequals(value, "close")) {
    request.close = true;
  } else if (iequals(name, "connection") && iequals(value, "keep-alive")) {
    request.keep_alive = request.close;
    request.close = false;
  }
  return !iequals(name, "transfer-encoding");
}

}  // namespace

Request parse_request(std::string_view bytes) {
  const size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return {.good = bytes.size() <= kHeadBytesMax};
  std::string_view head = bytes.substr(0, end + 2);
  const auto next_line = [&head] {
    const size_t length = head.find("\r\n");
    const std::string_view line = head.substr(0, length);
    head.remove_prefix(length + 2);
    return line;
  };
  const std::string_view line = next_line();
  const size_t method_end = line.find(' '), target_end = line.rfind(' ');
  Request request{.bytes = end + 4};
  if (method_end == std::string_view::npos || target_end <= method_end + 1) return request;
  request.target = line.substr(method_end + 1, target_end - method_end - 1);
  request.close = line.ends_with("/1.0");
  request.good = request.target.starts_with('/');
  while (request.good && !head.empty()) request.good = take_header(request, next_line());
  return request;
}

}  // namespace sis::truth
