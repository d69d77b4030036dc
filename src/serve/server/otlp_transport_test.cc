#include "serve/server/otlp_transport.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "net/http_server.h"

namespace sis::server {
namespace {

using telemetry::ExportOutcome;

TEST(OtlpTransport, EndpointsAsUsersWriteThem) {
  const auto target = [](const std::string& endpoint) {
    const auto url = otlp_traces_url(endpoint);
    return url.ok() ? url->text() : "error: " + url.error().message;
  };
  EXPECT_EQ(target("http://localhost:4318"), "http://localhost:4318/v1/traces");
  EXPECT_EQ(target("http://localhost:4318/"), "http://localhost:4318/v1/traces");
  EXPECT_EQ(target("https://collector/otlp"), "https://collector/otlp/v1/traces");
  EXPECT_EQ(target("http://[::1]:4318/v1/traces"), "http://[::1]:4318/v1/traces");
  for (const char* broken : {"localhost:4318", "grpc://localhost:4317", "http://", "http://a b",
                             "http://localhost:99999", "http://localhost/?a=b", "\n"})
    EXPECT_TRUE(target(broken).starts_with("error: ")) << target(broken);
}

TEST(OtlpTransport, WhatAnswersMean) {
  for (const int status : {200, 202, 204})
    EXPECT_EQ(read_otlp_answer(status, "").outcome, ExportOutcome::kSent) << status;
  for (const int status : {429, 502, 503, 504})
    EXPECT_EQ(read_otlp_answer(status, "later").outcome, ExportOutcome::kRetry) << status;
  for (const int status : {301, 400, 401, 404, 413, 415, 500})
    EXPECT_EQ(read_otlp_answer(status, "no\n").outcome, ExportOutcome::kRefused) << status;
  EXPECT_NE(read_otlp_answer(400, "no\n").reason.find("400: 'no\\x0a'"), std::string::npos)
      << read_otlp_answer(400, "no\n").reason;
  const auto refused = [](const char* body) { return read_otlp_answer(200, body).spans_refused; };
  EXPECT_EQ(refused(R"({"partialSuccess":{"rejectedSpans":"3"}})"), 3u);
  EXPECT_EQ(refused(R"({"partialSuccess":{"rejectedSpans":4}})"), 4u);
  for (const char* body : {"", "{}", "[", "[]", R"({"partialSuccess":3})",
                           R"({"partialSuccess":{"rejectedSpans":-3}})",
                           R"({"partialSuccess":{"rejectedSpans":"-3"}})",
                           R"({"partialSuccess":{"rejectedSpans":{}}})"})
    EXPECT_EQ(refused(body), 0u) << body;
}

// Over a socket: what is sent, and a collector that is not there.
TEST(OtlpTransport, PostsJson) {
  net::HttpRequest seen;
  auto server = net::HttpServer::create(
      {.address = "127.0.0.1", .port = 0}, [&](std::shared_ptr<net::Exchange> exchange) {
        seen = exchange->request();
        exchange->respond({.body = R"({"partialSuccess":{"rejectedSpans":"1"}})"});
      });
  ASSERT_TRUE(server.ok());
  (*server)->start();
  const auto url = otlp_traces_url(concat("http://127.0.0.1:", (*server)->port()));
  ASSERT_TRUE(url.ok());
  const auto transport = otlp_transport(*url);
  const auto answer = transport->send(R"({"resourceSpans":[]})", from_seconds(20));
  EXPECT_EQ(answer.outcome, ExportOutcome::kSent) << answer.reason;
  EXPECT_EQ(answer.spans_refused, 1u);
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.path, "/v1/traces");
  EXPECT_EQ(seen.header("Content-Type"), "application/json");
  EXPECT_EQ(seen.body, R"({"resourceSpans":[]})");
  (*server)->stop();
  server->reset();
  const auto dead = transport->send("{}", from_seconds(5));
  EXPECT_EQ(dead.outcome, ExportOutcome::kRetry);
  EXPECT_NE(dead.reason, "");
}

}  // namespace
}  // namespace sis::server
