#include "serve/server/otlp_transport.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client.h"

namespace sis::server {
namespace {

using telemetry::ExportOutcome;
using telemetry::SpanTransport;

constexpr size_t kAnswerBytesMax = 64 << 10;

// "partialSuccess":{"rejectedSpans":"3"}: a number, or text as JSON writes 64-bit ones.
uint64_t rejected_spans(const std::string& body) {
  const auto answer = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object()) return 0;
  const auto partial = answer.find("partialSuccess");
  if (partial == answer.end() || !partial->is_object()) return 0;
  const auto rejected = partial->find("rejectedSpans");
  if (rejected == partial->end()) return 0;
  if (rejected->is_number_unsigned()) return rejected->get<uint64_t>();
  if (!rejected->is_string()) return 0;
  const auto count = parse_int(rejected->get_ref<const std::string&>());
  return count && *count > 0 ? static_cast<uint64_t>(*count) : 0;
}

class OtlpTransport final : public SpanTransport {
 public:
  explicit OtlpTransport(net::Url url) : url_(std::move(url)) {}

  Answer send(const std::string& body, Duration timeout) override {
    const auto answer = net::fetch(url_, {.method = "POST",
                                          .headers = {{"Content-Type", "application/json"},
                                                      {"User-Agent", "sis-otlp-exporter"}},
                                          .body = body,
                                          .timeout = timeout,
                                          .body_bytes_max = kAnswerBytesMax});
    if (!answer.ok()) return {.outcome = ExportOutcome::kRetry, .reason = answer.error().message};
    return read_otlp_answer(answer->status, answer->body);
  }

 private:
  const net::Url url_;
};

}  // namespace

Result<net::Url> otlp_traces_url(const std::string& endpoint) {
  SIS_ASSIGN(net::Url url, net::parse_url(endpoint));
  if (url.target.find('?') != std::string::npos)
    return Error{Code::kInvalidArgument, concat(in_quotes(endpoint.substr(0, endpoint.find('?'))),
                                                " with a query: want a URL without one")};
  if (!url.target.ends_with("/v1/traces")) url.target = net::join_target(url, "/v1/traces");
  return url;
}

SpanTransport::Answer read_otlp_answer(int status, const std::string& body) {
  if (status >= 200 && status < 300)
    return {.outcome = ExportOutcome::kSent, .spans_refused = rejected_spans(body)};
  const bool later = status == 429 || status == 502 || status == 503 || status == 504;
  return {.outcome = later ? ExportOutcome::kRetry : ExportOutcome::kRefused,
          .reason = concat("the collector answered ", status, ": ", in_quotes(body, 200))};
}

std::unique_ptr<SpanTransport> otlp_transport(net::Url url) {
  return std::make_unique<OtlpTransport>(std::move(url));
}

}  // namespace sis::server
