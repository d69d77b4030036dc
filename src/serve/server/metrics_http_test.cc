#include "serve/server/metrics_http.h"

#include <gtest/gtest.h>

namespace sis::server {
namespace {

TEST(HttpMetrics, CountsByRouteModelAndStatus) {
  telemetry::Registry registry;
  HttpMetrics metrics(registry);
  metrics.on_end({"/tokenize", "m", 200, from_ms(3)});
  metrics.on_end({"/tokenize", "m", 200, from_ms(3)});
  metrics.on_end({"/tokenize", "unknown", 404, from_ms(1)});
  metrics.on_end({"/health", "", 503, from_ms(1)});
  for (int status = 600; status < 700; ++status) metrics.on_end({"unknown", "", status, {}});
  const std::string body = registry.expose("").body;
  for (const char* wanted :
       {"http_requests_total{route=\"/tokenize\",model=\"m\",status=\"200\"} 2\n",
        "http_requests_total{route=\"/tokenize\",model=\"unknown\",status=\"404\"} 1\n",
        "http_requests_total{route=\"/health\",model=\"\",status=\"503\"} 1\n",
        "http_requests_total{route=\"unknown\",model=\"\",status=\"other\"} 100\n",
        "http_request_duration_seconds_bucket{route=\"/tokenize\",le=\"0.0025\"} 1\n",
        "http_request_duration_seconds_count{route=\"/tokenize\"} 3\n"})
    EXPECT_NE(body.find(wanted), std::string::npos) << wanted << body;
}

}  // namespace
}  // namespace sis::server
