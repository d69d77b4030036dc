#include "serve/tasks/generate_request.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace sis::tasks {
namespace {

const GenerateLimits kLimits{.context = 100, .eos_ids = {7}, .drawn_seed = 42};

// Request, then defaults; never above the ceiling nor beyond the context.
TEST(GenerateRequest, FillsInAndClamps) {
  GenerateDefaults defaults;
  defaults.temperature = 0.7f;
  defaults.top_k = 20;
  defaults.tokens_max = 30;
  defaults.tokens_ceiling = 50;
  GenerateCall call;
  auto request = make_engine_request(call, {1, 2, 3}, defaults, kLimits);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->tokens_max, 30);
  EXPECT_EQ(request->sampling.temperature, 0.7f);
  EXPECT_EQ(request->sampling.top_k, 20);
  EXPECT_EQ(request->sampling.seed, 42u);
  EXPECT_EQ(request->eos_ids, std::vector<int32_t>{7});
  EXPECT_EQ(request->logprobs, -1);

  call.temperature = 0;
  call.top_p = 0;
  call.top_k = -1;
  call.seed = 5;
  call.tokens_max = 1000;
  call.tokens_min = 1000;
  request = make_engine_request(call, {1}, defaults, kLimits);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->sampling.temperature, 0);
  EXPECT_GT(request->sampling.top_p, 0);
  EXPECT_EQ(request->sampling.top_k, 0);
  EXPECT_EQ(request->sampling.seed, 5u);
  EXPECT_EQ(request->tokens_max, 50);
  EXPECT_EQ(request->tokens_min, 50);
  request = make_engine_request(call, std::vector<int32_t>(60, 1), defaults, kLimits);
  EXPECT_EQ(request->tokens_max, 40);
}

TEST(GenerateRequest, RefusesPromptsWithoutRoom) {
  GenerateDefaults defaults;
  defaults.prompt_tokens_max = 1000;
  GenerateCall call;
  EXPECT_TRUE(make_engine_request(call, std::vector<int32_t>(99, 1), defaults, kLimits).ok());
  auto refused = make_engine_request(call, std::vector<int32_t>(100, 1), defaults, kLimits);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_EQ(refused.error().reason, "context_length_exceeded");
  EXPECT_EQ(refused.error().param, "prompt");
  EXPECT_EQ(refused.error().message,
            "prompt: the prompt has 100 tokens, this model takes at most 99");

  // Texts that no vocabulary writes in so few tokens are not encoded at all.
  EXPECT_TRUE(check_prompt_bytes(call, 99 * 256, defaults, 100).ok());
  const auto long_text = check_prompt_bytes(call, 99 * 256 + 1, defaults, 100);
  ASSERT_FALSE(long_text.ok());
  EXPECT_EQ(long_text.error().reason, "context_length_exceeded");
  EXPECT_EQ(long_text.error().message,
            "prompt: the prompt has 25345 bytes, at least 100 tokens, this model takes at most 99");

  // A text is not encoded to its end when it is much too long; ids are counted already.
  refused = make_engine_request(call, std::vector<int32_t>(4 * 99, 1), defaults, kLimits);
  EXPECT_EQ(refused.error().message,
            "prompt: the prompt has at least 396 tokens, this model takes at most 99");
  call.prompt_is_ids = true;
  refused = make_engine_request(call, std::vector<int32_t>(4 * 99, 1), defaults, kLimits);
  EXPECT_EQ(refused.error().message,
            "prompt: the prompt has 396 tokens, this model takes at most 99");

  call.tokens_max = 0;  // scored only
  EXPECT_TRUE(make_engine_request(call, std::vector<int32_t>(100, 1), defaults, kLimits).ok());
  defaults.prompt_tokens_max = 10;
  call.chat.emplace();
  refused = make_engine_request(call, std::vector<int32_t>(11, 1), defaults, kLimits);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().param, "messages");
  EXPECT_FALSE(make_engine_request(call, {}, defaults, kLimits).ok());
}

TEST(GenerateRequest, NamesTheFieldAtFault) {
  const std::pair<const char*, std::function<void(GenerateCall&)>> cases[] = {
      {"temperature", [](GenerateCall& call) { call.temperature = -0.1f; }},
      {"temperature",
       [](GenerateCall& call) { call.temperature = std::numeric_limits<float>::quiet_NaN(); }},
      {"top_p", [](GenerateCall& call) { call.top_p = 1.5f; }},
      {"min_p", [](GenerateCall& call) { call.min_p = -1; }},
      {"repetition_penalty", [](GenerateCall& call) { call.repetition_penalty = 0; }},
      {"presence_penalty",
       [](GenerateCall& call) { call.presence_penalty = std::numeric_limits<float>::infinity(); }},
      {"top_k", [](GenerateCall& call) { call.top_k = -2; }},
      {"logit_bias",
       [](GenerateCall& call) {
         call.logit_bias = {{-1, 1}};
       }},
      {"max_tokens", [](GenerateCall& call) { call.tokens_max = -1; }},
      {"min_tokens", [](GenerateCall& call) { call.tokens_min = -1; }},
      {"n", [](GenerateCall& call) { call.choices = 0; }},
      {"n", [](GenerateCall& call) { call.choices = 129; }},
      {"top_logprobs", [](GenerateCall& call) { call.logprobs = 33; }},
      {"stop", [](GenerateCall& call) { call.stop = {"\xff"}; }},
      {"stop", [](GenerateCall& call) { call.stop.assign(65, "x"); }},
      {"tools", [](GenerateCall& call) { call.tools.resize(257, {.name = "f"}); }},
      {"tools[0].function.name", [](GenerateCall& call) { call.tools.resize(1); }},
      {"tools[1].function.parameters",
       [](GenerateCall& call) {
         call.tools = {{.name = "f"}, {.name = "g", .parameters = std::string(1'048'577, ' ')}};
       }},
      {"tool_choice", [](GenerateCall& call) { call.tool_choice = ToolChoice::kRequired; }},
      {"guided_regex",
       [](GenerateCall& call) {
         call.tools = {{.name = "f"}};
         call.tool_choice = ToolChoice::kRequired;
         call.format = {
             .kind = ResponseFormat::Kind::kRegex, .source = "a+", .field = "guided_regex"};
       }},
  };
  EXPECT_TRUE(check_call({}).ok());
  for (const auto& [param, change] : cases) {
    GenerateCall call;
    change(call);
    const Status status = check_call(call);
    ASSERT_FALSE(status.ok()) << param;
    EXPECT_EQ(status.error().code, Code::kInvalidArgument);
    EXPECT_EQ(status.error().param, param) << status.error().message;
  }
}

}  // namespace
}  // namespace sis::tasks
