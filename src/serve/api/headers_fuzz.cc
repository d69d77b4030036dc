// Any bytes as the headers that our own code reads: who asks, which trace it belongs to, how long
// it may take. What was understood is what we would write ourselves.
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "serve/admission/rate_client.h"
#include "serve/api/request_timeout.h"
#include "telemetry/trace_context.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sis;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string_view> lines;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    lines.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }

  if (const auto context = telemetry::parse_traceparent(text)) {
    const auto again = telemetry::parse_traceparent(telemetry::format_traceparent(*context));
    SIS_CHECK(again && again->trace_id == context->trace_id && again->sampled == context->sampled);
  }
  const std::string state = telemetry::parse_tracestate(lines);
  const std::string_view one[] = {state};
  SIS_CHECK(telemetry::parse_tracestate(one) == state, state);

  static const auto trusted = admission::TrustedProxies::parse({"10.0.0.0/9", "fd00::/12", "::1"});
  SIS_CHECK(trusted.ok());
  for (const char* peer : {"10.1.2.3", "::1", "192.0.2.1"}) {
    const std::string client = admission::client_address(peer, lines, *trusted);
    SIS_CHECK(admission::parse_ip(client), client);
    SIS_CHECK(!admission::rate_name_of(client).empty());
  }
  SIS_CHECK(admission::rate_name_of(text).size() <= 64);
  const std::vector<std::string> items(lines.begin(), lines.end());
  if (const auto proxies = admission::TrustedProxies::parse(items); proxies.ok())
    SIS_CHECK(proxies->empty() == items.empty());

  net::HttpRequest request;
  request.headers.emplace_back("x-request-timeout-ms", text);
  if (const auto deadline = api::request_deadline(request); deadline.ok() && !text.empty())
    SIS_CHECK(*deadline > request.received_at);
  return 0;
}
