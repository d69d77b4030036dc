// The exact bytes of answers and chunks.
#include "serve/api/openai/chat_text.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "serve/api/openai/chat_fixture.h"
#include "serve/api/openai/completions_text.h"

namespace sis::api {
namespace {

using nlohmann::json;
using tasks::Delta;
using tasks::FinishReason;
using tasks::Usage;
using testing::text_delta;
using testing::token;

const AnswerHead kHead{.id = "chatcmpl-1", .model = "m", .fingerprint = "fp_1", .created = 7};
const Usage kUsage{
    .prompt_tokens = 9, .cached_tokens = 4, .completion_tokens = 12, .reasoning_tokens = 2};
constexpr const char* kUsageText =
    R"({"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,)"
    R"("prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},)"
    R"("completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0,)"
    R"("accepted_prediction_tokens":0,"rejected_prediction_tokens":0}})";

std::string chunk(const std::string& choices, const std::string& tail = "") {
  return R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"m",)"
         R"("system_fingerprint":"fp_1","choices":[)" +
         choices + "]" + tail + "}\n\n";
}
std::string role_chunk(int index, const std::string& tail = "") {
  return chunk(R"({"index":)" + std::to_string(index) +
                   R"(,"delta":{"role":"assistant","content":"","refusal":null},)"
                   R"("logprobs":null,"finish_reason":null})",
               tail);
}

TEST(ChatText, StreamsRolePiecesFinishAndUsage) {
  const auto printer = chat_printer({.head = kHead, .usage_null = true});
  std::string out;
  printer->delta(out, 0, text_delta("Hel\"\n"));
  EXPECT_EQ(out, role_chunk(0, R"(,"usage":null)") +
                     chunk(R"({"index":0,"delta":{"content":"Hel\"\n"},"logprobs":null,)"
                           R"("finish_reason":null})",
                           R"(,"usage":null)"));
  out.clear();
  printer->finish(out, 0, FinishReason::kLength);
  EXPECT_EQ(out, chunk(R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"length"})",
                       R"(,"usage":null)"));
  out.clear();
  printer->usage(out, kUsage);
  EXPECT_EQ(out, chunk("", std::string(R"(,"usage":)") + kUsageText));
}

// Without include_usage no chunk has the key; each choice has a first chunk and a last one.
TEST(ChatText, ChoicesInterleave) {
  const auto printer = chat_printer({.head = kHead, .choices = 2});
  std::string out;
  printer->delta(out, 1, text_delta("b"));
  printer->finish(out, 0, FinishReason::kStop);
  const std::string rest = R"("logprobs":null,"finish_reason":)";
  EXPECT_EQ(out, role_chunk(1) + chunk(R"({"index":1,"delta":{"content":"b"},)" + rest + "null}") +
                     role_chunk(0) + chunk(R"({"index":0,"delta":{},)" + rest + R"("stop"})"));
}

// A call's id, type and name come once, its index always; joined arguments are JSON.
TEST(ChatText, StreamsToolCalls) {
  const auto printer = chat_printer({.head = kHead});
  std::string out;
  Delta first;
  first.tool_calls.push_back({.index = 0, .id = "call_a", .name = "f", .arguments = ""});
  printer->delta(out, 0, first);
  Delta second;
  second.tool_calls.push_back({.index = 0, .id = "", .name = "", .arguments = R"({"x":1})"});
  second.tool_calls.push_back({.index = 1, .id = "call_b", .name = "g", .arguments = ""});
  printer->delta(out, 0, second);
  printer->finish(out, 0, FinishReason::kToolCalls);
  const std::string rest = R"(},"logprobs":null,"finish_reason":)";
  EXPECT_EQ(
      out,
      chunk(
          R"({"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[)"
          R"({"index":0,"id":"call_a","type":"function","function":{"name":"f","arguments":""}}])" +
          rest + "null}") +
          chunk(R"({"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":)"
                R"("{\"x\":1}"}},{"index":1,"id":"call_b","type":"function",)"
                R"("function":{"name":"g","arguments":""}}])" +
                rest + "null}") +
          chunk(R"({"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}])" +
                rest + "null}") +
          chunk(R"({"index":0,"delta":{)" + rest + R"("tool_calls"})"));
}

TEST(ChatText, StreamsReasoningAndLogprobs) {
  const auto printer = chat_printer({.head = kHead, .logprobs = true});
  std::string out;
  printer->delta(out, 0, {.content = "", .reasoning = "hm"});
  EXPECT_NE(out.find(R"("delta":{"reasoning_content":"hm"},"logprobs":null)"), std::string::npos)
      << out;
  out.clear();
  // Half of a character has bytes, but no text of its own.
  Delta delta = text_delta("");
  delta.logprobs.push_back(
      token("\xE2\x82", 5, -0.5f, {{"\xE2\x82", 5, -0.5f}, {"a", 6, -1.0f / 0.0f}}));
  printer->delta(out, 0, delta);
  EXPECT_EQ(out,
            chunk(R"({"index":0,"delta":{"content":""},"logprobs":{"content":[)"
                  R"({"token":"bytes:\\xe2\\x82","logprob":-0.5,"bytes":[226,130],"top_logprobs":[)"
                  R"({"token":"bytes:\\xe2\\x82","logprob":-0.5,"bytes":[226,130]},)"
                  R"({"token":"a","logprob":-9999,"bytes":[97]}]}],"refusal":null},)"
                  R"("finish_reason":null})"));
}

TEST(ChatText, PrintsWholeAnswers) {
  const auto printer = chat_printer({.head = kHead, .choices = 2});
  std::vector<GatheredChoice> choices(2);
  choices[0].content = "hi\xF0\x9F\x98\x80";
  choices[0].reasoning = "hm";
  choices[1].reason = FinishReason::kToolCalls;
  choices[1].tool_calls.push_back({.index = 0, .id = "call_a", .name = "f", .arguments = ""});
  EXPECT_EQ(
      printer->whole(choices, kUsage),
      std::string(
          R"({"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m",)"
          R"("system_fingerprint":"fp_1","service_tier":"default","choices":[)"
          R"({"index":0,"message":{"role":"assistant","content":"hi)"
          "\xF0\x9F\x98\x80"
          R"(","refusal":null,"reasoning_content":"hm"},"logprobs":null,"finish_reason":"stop"},)"
          R"({"index":1,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[)"
          R"({"id":"call_a","type":"function","function":{"name":"f","arguments":"{}"}}]},)"
          R"("logprobs":null,"finish_reason":"tool_calls"}],"usage":)") +
          kUsageText + "}");
}

CompletionPrinterOptions completion(int32_t logprobs, std::vector<std::string> echo = {}) {
  return {.head = {.id = "cmpl-1", .model = "m", .fingerprint = "fp_1", .created = 7},
          .logprobs = logprobs,
          .echo = std::move(echo)};
}

TEST(CompletionsText, StreamsAndEchoes) {
  const auto printer = completion_printer(completion(-1, {"pro"}));
  std::string out;
  printer->delta(out, 0, text_delta("mpt"));
  printer->finish(out, 0, FinishReason::kStop);
  const std::string head =
      R"(data: {"id":"cmpl-1","object":"text_completion","created":7,"model":"m",)"
      R"("system_fingerprint":"fp_1","choices":[)";
  EXPECT_EQ(out, head + R"({"text":"pro","index":0,"logprobs":null,"finish_reason":null}]})" +
                     "\n\n" + head +
                     R"({"text":"mpt","index":0,"logprobs":null,"finish_reason":null}]})" + "\n\n" +
                     head + R"({"text":"","index":0,"logprobs":null,"finish_reason":"stop"}]})" +
                     "\n\n");
}

// Offsets count characters of the text; the prompt's first token has no logprob; the sampled
// token is among the alternatives.
TEST(CompletionsText, LogprobListsOfPromptAndAnswer) {
  const auto printer = completion_printer(completion(1, {"h\xC3\xA9llo"}));
  printer->prompt(0, {token("h\xC3", 1, 0), token("\xA9llo", 2, -1, {{"x", 9, -0.25f}})});
  std::vector<GatheredChoice> choices(1);
  choices[0].content = " you";
  choices[0].logprobs = {token(" you", 3, -2, {{" you", 3, -2}})};
  const json answer = json::parse(printer->whole(choices, kUsage));
  EXPECT_EQ(answer["choices"][0]["text"], "h\xC3\xA9llo you");
  EXPECT_EQ(answer["choices"][0]["logprobs"], json::parse(R"({
      "tokens":["bytes:h\\xc3","bytes:\\xa9llo"," you"],
      "token_logprobs":[null,-1.0,-2.0],
      "top_logprobs":[null,{"x":-0.25,"bytes:\\xa9llo":-1.0},{" you":-2.0}],
      "text_offset":[0,2,5]})"));
}

// A stream's logprobs go on where the chunk before ended, and joined are those of the whole.
TEST(CompletionsText, StreamedLogprobsJoinToTheWhole) {
  const std::vector<tasks::TokenLogprobs> tokens = {token("ab", 1, -1), token("c", 2, -2)};
  const auto stream = completion_printer(completion(0));
  std::string out;
  for (const auto& one : tokens) {
    Delta delta = text_delta(one.token.bytes);
    delta.logprobs = {one};
    stream->delta(out, 0, delta);
  }
  stream->finish(out, 0, FinishReason::kStop);
  std::vector<GatheredChoice> choices(1);
  choices[0].content = "abc";
  choices[0].logprobs = tokens;
  const json whole =
      json::parse(completion_printer(completion(0))->whole(choices, kUsage))["choices"][0];
  json joined = {{"tokens", json::array()},
                 {"token_logprobs", json::array()},
                 {"top_logprobs", json::array()},
                 {"text_offset", json::array()}};
  std::string text;
  int chunks = 0;
  for (size_t at = 0; at < out.size(); ++chunks) {
    const size_t end = out.find("\n\n", at);
    const json choice = json::parse(out.substr(at + 6, end - at - 6))["choices"][0];
    at = end + 2;
    text += choice["text"];
    if (!choice["logprobs"].is_null())
      for (auto& [key, list] : joined.items())
        for (const auto& item : choice["logprobs"][key]) list.push_back(item);
  }
  EXPECT_EQ(chunks, 3);
  EXPECT_EQ(text, whole["text"]);
  EXPECT_EQ(joined, whole["logprobs"]);
}

TEST(StreamText, LogprobsAreAlwaysNumbers) {
  EXPECT_EQ(printable_logprob(-1.0f / 0.0f), -9999.0f);
  EXPECT_EQ(printable_logprob(std::numeric_limits<float>::quiet_NaN()), -9999.0f);
  EXPECT_EQ(printable_logprob(-0.5f), -0.5f);
  EXPECT_EQ(make_id("cmpl-").size(), 37u);
  EXPECT_NE(make_id("cmpl-"), make_id("cmpl-"));
}

}  // namespace
}  // namespace sis::api
