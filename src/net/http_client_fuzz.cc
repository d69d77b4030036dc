// Any bytes, cut anywhere, must end in an answer or an error: the parser always moves on, never
// reports more body than it was fed, and says the same whether the bytes come in one piece or in
// many.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/http_client_parser.h"
#include "net/http_client_url.h"

namespace {

struct Outcome {
  bool error = false, done = false;
  int status = 0;
  std::string body;
};

Outcome parse(std::string_view bytes, size_t piece, bool head) {
  sis::net::HttpResponseParser parser({.head_bytes_max = 256, .body_bytes_max = 4096});
  parser.begin({.head_request = head});
  Outcome out;
  while (!bytes.empty() && !parser.done()) {
    std::string_view rest = bytes.substr(0, piece);
    while (!rest.empty() && !parser.done()) {
      const auto step = parser.feed(rest);
      if (!step.ok()) {
        out.error = true;
        return out;
      }
      SIS_CHECK(step->consumed > 0 && step->consumed <= rest.size(), "consumed=", step->consumed);
      SIS_CHECK(step->body.size() <= step->consumed);
      out.body += step->body;
      rest.remove_prefix(step->consumed);
      bytes.remove_prefix(step->consumed);
    }
  }
  out.done = parser.finish_at_close().ok();
  out.status = parser.status();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t piece = size_t{1} + data[0] % 32;
  const bool head = data[1] & 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Outcome whole = parse(bytes, std::string_view::npos, head),
                pieces = parse(bytes, piece, head);
  SIS_CHECK(whole.error == pieces.error, "whole=", whole.error, " pieces=", pieces.error);
  if (!whole.error)
    SIS_CHECK(whole.done == pieces.done && whole.body == pieces.body, "bodies differ");
  if (const auto url = sis::net::parse_url(bytes); url.ok()) {
    const auto again = sis::net::parse_url(url->text());
    SIS_CHECK(again.ok() && again->host == url->host && again->port == url->port, url->text());
  }
  return 0;
}
