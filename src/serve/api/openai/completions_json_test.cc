#include "serve/api/openai/completions_json.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "serve/api/openai/chat_fixture.h"

namespace sis::api {
namespace {

using tasks::GenerateCall;

Result<CompletionCall> parse_completion(const std::string& body, CompletionLimits limits = {}) {
  return parse_completion_call(testing::Body(body).view(), limits, testing::small_models());
}

TEST(CompletionsJson, ReadsPrompts) {
  const auto calls = [](const char* prompt) {
    auto parsed = parse_completion(concat(R"({"model":"m","prompt":)", prompt, "}"));
    EXPECT_TRUE(parsed.ok()) << prompt << ": " << (parsed.ok() ? "" : parsed.error().message);
    return parsed.ok() ? std::move(parsed->calls) : std::vector<GenerateCall>();
  };
  auto one = calls(R"("text")");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].text, "text");
  EXPECT_FALSE(one[0].prompt_is_ids || one[0].chat);
  EXPECT_EQ(one[0].tokens_max, 16);
  one = calls("[5,6]");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_TRUE(one[0].prompt_is_ids);
  EXPECT_EQ(one[0].ids, (std::vector<int32_t>{5, 6}));
  const auto two = calls(R"(["a","b"])");
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[1].text, "b");
  const auto ids = calls("[[1],[2,3]]");
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_EQ(ids[1].ids, (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(calls("null")[0].text, "<|endoftext|>");
}

TEST(CompletionsJson, EchoAsksForThePromptsLogprobs) {
  auto parsed = parse_completion(
      R"({"model":"m","prompt":"x","echo":true,"logprobs":2,"max_tokens":0,"n":2,"best_of":2})");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(parsed->echo);
  EXPECT_TRUE(parsed->calls[0].prompt_logprobs);
  EXPECT_EQ(parsed->calls[0].logprobs, 2);
  EXPECT_EQ(parsed->calls[0].tokens_max, 0);
  parsed = parse_completion(R"({"model":"m","prompt":"x","echo":true})");
  EXPECT_FALSE(parsed->calls[0].prompt_logprobs);
  EXPECT_EQ(parsed->calls[0].logprobs, -1);
}

TEST(CompletionsJson, RefusesWithFieldAndReason) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {R"("prompt":{})", "prompt", "want a string"},
      {R"("prompt":[])", "prompt", "empty"},
      {R"("prompt":[[]])", "prompt[0]", "empty"},
      {R"("prompt":["a",7])", "prompt[1]", "a string or token ids"},
      {R"("prompt":[901])", "prompt", "tokens 0 to 900"},
      {R"("prompt":[[1],[-1]])", "prompt[1]", "token ids"},
      {R"("prompt":["a","b","c"])", "prompt", "at most 2"},
      {R"("prompt":"a","max_tokens":-1)", "max_tokens", "from 0"},
      {R"("prompt":"a","logprobs":6)", "logprobs", "from 0 to 5"},
      {R"("prompt":"a","logprobs":5,"n":100)", "logprobs", "at most 512"},
      {R"("prompt":"a","best_of":2)", "best_of", "only 1"},
      {R"("prompt":"a","n":3,"best_of":2)", "best_of", "only 3"},
      {R"("prompt":"a","suffix":"z")", "suffix", "not supported"},
      {R"("prompt":"a","echo":9)", "echo", "true or false"},
      {R"("prompt":"a","add_special_tokens":false)", "add_special_tokens", "token ids"},
      {R"("prompt":"a","frobnicate":1)", "frobnicate", "unknown"},
  };
  for (const auto& [members, param, message] : cases) {
    const auto parsed = parse_completion(concat(R"({"model":"m",)", members, "}"),
                                         {.prompts_max = 2, .strict_fields = true});
    ASSERT_FALSE(parsed.ok()) << members;
    EXPECT_EQ(parsed.error().param, param) << members << ": " << parsed.error().message;
    EXPECT_NE(parsed.error().message.find(message), std::string::npos)
        << members << ": " << parsed.error().message;
  }
}

}  // namespace
}  // namespace sis::api
