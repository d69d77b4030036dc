#include "telemetry/otlp_json.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace sis::telemetry {
namespace {

using nlohmann::json;

TEST(OtlpJson, HasTheShapeOfAnExportRequest) {
  Span span{.trace_id = {1, 2, 0xff},
            .span_id = {3},
            .parent = {4},
            .parent_remote = true,
            .state = "a=1",
            .name = "POST /v1/embeddings",
            .kind = SpanKind::kServer,
            .begin_unix_ns = 1700000000000000001,
            .end_unix_ns = 1700000000000000002,
            .attributes = {{"text", "a\"b"},
                           {"number", int64_t{-5}},
                           {"real", 0.5},
                           {"flag", true},
                           {"list", std::vector<std::string>{"stop", "length"}}},
            .status = SpanStatus::kError};
  const Resource resource{.attributes = {{"service.name", "sis"}}, .scope_version = "1"};
  const json body = json::parse(otlp_json(resource, {&span, 1}));
  ASSERT_EQ(body["resourceSpans"].size(), 1u);
  const json& from = body["resourceSpans"][0];
  EXPECT_EQ(from["resource"]["attributes"],
            json::parse(R"([{"key":"service.name","value":{"stringValue":"sis"}}])"));
  EXPECT_EQ(from["scopeSpans"][0]["scope"], json::parse(R"({"name":"sis","version":"1"})"));
  const json want = {{"traceId", "0102ff00000000000000000000000000"},
                     {"spanId", "0300000000000000"},
                     {"parentSpanId", "0400000000000000"},
                     {"traceState", "a=1"},
                     {"name", "POST /v1/embeddings"},
                     {"kind", 2},
                     {"flags", 0x301},
                     {"startTimeUnixNano", "1700000000000000001"},
                     {"endTimeUnixNano", "1700000000000000002"},
                     {"attributes", json::parse(R"([{"key":"text","value":{"stringValue":"a\"b"}},
        {"key":"number","value":{"intValue":"-5"}}, {"key":"real","value":{"doubleValue":0.5}},
        {"key":"flag","value":{"boolValue":true}}, {"key":"list","value":{"arrayValue":{"values":
        [{"stringValue":"stop"},{"stringValue":"length"}]}}}])")},
                     {"status", {{"code", 2}}}};
  EXPECT_EQ(from["scopeSpans"][0]["spans"], json::array({want}));
}

TEST(OtlpJson, RootsHaveNoParentAndBytesFromOutsideStayJson) {
  std::vector<Span> spans(2);
  spans[0].name = std::string("\xff\x00\"\n", 4);
  spans[1].attributes = {{"real", std::numeric_limits<double>::infinity()},
                         {"list", std::vector<std::string>{}}};
  const json body = json::parse(otlp_json({}, spans));
  const json& printed = body["resourceSpans"][0]["scopeSpans"][0]["spans"];
  ASSERT_EQ(printed.size(), 2u);
  EXPECT_FALSE(printed[0].contains("parentSpanId"));
  EXPECT_FALSE(printed[0].contains("traceState"));
  EXPECT_EQ(printed[0]["flags"], 0x101);
  EXPECT_EQ(printed[0]["status"], json::object());
  EXPECT_TRUE(printed[1]["attributes"][0]["value"]["stringValue"].is_string());
  EXPECT_EQ(attribute_text(std::string(5000, 'x')).size(), kAttributeBytesMax);
  EXPECT_EQ(json::parse(otlp_json({}, {}))["resourceSpans"][0]["scopeSpans"][0]["spans"],
            json::array());
}

}  // namespace
}  // namespace sis::telemetry
