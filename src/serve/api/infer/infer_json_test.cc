#include "serve/api/infer/infer_json.h"

#include <gtest/gtest.h>

#include "serve/api/openai/chat_fixture.h"

namespace sis::api {
namespace {

using testing::Body;

Result<InferCall> parse(const std::string& text, const InferLimits& limits = {}) {
  const Body body(text);
  return parse_infer(body.view(), limits, testing::small_models());
}

std::string fault(const std::string& text, const InferLimits& limits = {}) {
  const auto call = parse(text, limits);
  if (call.ok()) return "no fault";
  EXPECT_TRUE(call.error().code == Code::kInvalidArgument || call.error().code == Code::kNotFound);
  return concat(call.error().param, ": ", call.error().message);
}

TEST(InferJson, ReadsPromptAndParams) {
  const auto call = parse(
      R"({"model":"m","prompt":"hi","params":{"max_new_tokens":"7","temperature":0.5,"top_k":4,)"
      R"("stop":["x"],"seed":9,"unknown":{"a":[1]}},"idempotency_key":"k","more":1})");
  ASSERT_TRUE(call.ok()) << call.error().message;
  EXPECT_EQ(call->model, "m");
  EXPECT_EQ(call->idempotency_key, "k");
  EXPECT_EQ(call->call.tokens_max, 7);
  EXPECT_EQ(call->call.temperature, 0.5f);
  EXPECT_EQ(call->call.top_k, 4);
  EXPECT_EQ(call->call.seed, 9u);
  EXPECT_EQ(call->call.stop, std::vector<std::string>{"x"});
  EXPECT_TRUE(call->call.chat.has_value());
  EXPECT_EQ(call->call.choices, 1);
}

TEST(InferJson, DefaultsAndRawTexts) {
  auto call = parse(R"({"model":"m","prompt":"hi"})");
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->call.tokens_max, 512);
  EXPECT_TRUE(call->idempotency_key.empty());
  call = parse(R"({"model":"m","prompt":"hi","params":{"raw":true,"n":3,"stream":true}})");
  ASSERT_TRUE(call.ok());
  EXPECT_FALSE(call->call.chat.has_value());
  EXPECT_EQ(call->call.text, "hi");
  EXPECT_EQ(call->call.choices, 1);
  for (const char* params :
       {R"({"do_sample":false,"temperature":1})", R"({"temperature":1,"do_sample":false})"}) {
    call = parse(concat(R"({"model":"m","prompt":"hi","params":)", params, "}"));
    ASSERT_TRUE(call.ok());
    EXPECT_EQ(call->call.temperature, 0.0f);
  }
}

TEST(InferJson, FaultsNameTheirField) {
  EXPECT_EQ(fault("[]").substr(0, 2), ": ");
  EXPECT_EQ(fault(R"({"model":"m"})"), "prompt: prompt is missing");
  EXPECT_EQ(fault(R"({"model":"m","prompt":""})"),
            "prompt: prompt: want 1 to 8192 characters, got 0");
  EXPECT_EQ(fault(R"({"model":"m","prompt":"éé"})", {.prompt_chars_max = 1}),
            "prompt: prompt: want 1 to 1 characters, got 2");
  EXPECT_EQ(fault(R"({"model":"m","prompt":"éé"})", {.prompt_chars_max = 2}), "no fault");
  EXPECT_EQ(fault(R"({"model":"m","prompt":["x"]})").substr(0, 7), "prompt:");
  EXPECT_EQ(fault(R"({"prompt":"x"})"), "model: model: want a non-empty string");
  EXPECT_EQ(fault(R"({"model":"nope","prompt":"x"})"), "model: no model nope");
  EXPECT_EQ(fault(R"({"model":"embed","prompt":"x"})").substr(0, 6), "model:");
  EXPECT_EQ(fault(R"({"model":"m","prompt":"x","params":[]})").substr(0, 7), "params:");
  EXPECT_EQ(fault(R"({"model":"m","prompt":"x","params":{"max_new_tokens":4097}})").substr(0, 22),
            "params.max_new_tokens:");
  EXPECT_EQ(fault(R"({"model":"m","prompt":"x","params":{"max_new_tokens":1.5}})").substr(0, 22),
            "params.max_new_tokens:");
  EXPECT_EQ(fault(R"({"model":"m","prompt":"x","params":{"max_new_tokens":4096}})"), "no fault");
  EXPECT_EQ(fault(R"({"model":"m","prompt":"x","params":{"temperature":9}})").substr(0, 19),
            "params.temperature:");
  EXPECT_EQ(fault(R"({"model":"m","prompt":"x","idempotency_key":""})").substr(0, 16),
            "idempotency_key:");
  EXPECT_EQ(fault(concat(R"({"model":"m","prompt":"x","idempotency_key":")", std::string(257, 'k'),
                         "\"}"))
                .substr(0, 16),
            "idempotency_key:");
}

// The same request in another spelling is the same; anything an answer depends on is not.
TEST(InferJson, DigestIsOfTheMeaning) {
  const auto digest = [](const char* text) { return parse(text)->digest; };
  const auto one = digest(R"({"model":"m","prompt":"x","params":{"top_k":2,"seed":1}})");
  EXPECT_EQ(one, digest(R"({"params": {"seed":1, "top_k":2} ,"prompt":"x","model":"m","z":0})"));
  EXPECT_NE(one, digest(R"({"model":"m","prompt":"x","params":{"top_k":2,"seed":2}})"));
  EXPECT_NE(one, digest(R"({"model":"m","prompt":"x ","params":{"top_k":2,"seed":1}})"));
  EXPECT_NE(one, digest(R"({"model":"m","prompt":"x"})"));
}

}  // namespace
}  // namespace sis::api
