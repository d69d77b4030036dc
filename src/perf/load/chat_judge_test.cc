#include "perf/load/chat_judge.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "perf/load/chat_test_events.h"
#include "perf/load/sse_parser.h"

namespace sis::perf {
namespace {

using std::chrono::milliseconds;

TimePoint at(int ms) { return TimePoint(std::chrono::seconds(10)) + milliseconds(ms); }

// Judges streams one after the other with the same judge, as a connection does.
class Streams {
 public:
  explicit Streams(int choices = 1)
      : judge_(make_chat_judge({.choices = choices})), stream_(judge_->make_stream()) {}

  // Each part comes 10 ms after the one before.
  Judgement judge(const std::vector<std::string_view>& parts) {
    stream_->begin();
    int ms = 0;
    for (const std::string_view part : parts) {
      stream_->take(part, at(ms));
      ms += 10;
      if (!stream_->failure().empty()) return {.error = stream_->failure()};
    }
    return stream_->end(0);
  }

 private:
  std::unique_ptr<Judge> judge_;
  std::unique_ptr<StreamJudge> stream_;
};

TEST(ChatStream, TimesAndTokensOfAGoodAnswer) {
  Streams streams;
  const std::string role = role_event("a"), one = text_event("a", "one"),
                    two = text_event("a", "two"), finish = finish_event("a"),
                    usage = usage_event("a", 9, 5, 3);
  const Judgement good =
      streams.judge({role, one, ": ping\n\n", two, two, finish, usage, kDoneEvent});
  ASSERT_TRUE(good.ok) << good.error;
  EXPECT_EQ(good.prompt_tokens, 9);
  ASSERT_TRUE(good.generation.has_value());
  EXPECT_EQ(good.generation->output_tokens, 5);
  EXPECT_TRUE(good.generation->counted_by_server);
  EXPECT_EQ(good.generation->cached_tokens, 3);
  ASSERT_EQ(good.generation->pieces.size(), 3u);
  EXPECT_EQ(good.generation->pieces[0], at(10));  // the role is no content
  ASSERT_EQ(good.generation->gaps.size(), 2u);
  EXPECT_EQ(good.generation->gaps[0], milliseconds(20));
  EXPECT_EQ(good.generation->gaps[1], milliseconds(10));
  // From the first piece to the finish at 50 ms, 4 tokens.
  EXPECT_EQ(good.generation->per_token, milliseconds(10));
}

TEST(ChatStream, WithoutUsagePiecesAreCounted) {
  Streams streams;
  const std::string text =
      concat(role_event("a"), text_event("a", "x"), text_event("a", "y"), finish_event("a"));
  const Judgement good = streams.judge({text, kDoneEvent});
  ASSERT_TRUE(good.ok) << good.error;
  EXPECT_EQ(good.prompt_tokens, -1);
  EXPECT_EQ(good.generation->output_tokens, 2);
  EXPECT_FALSE(good.generation->counted_by_server);
  EXPECT_EQ(good.generation->cached_tokens, -1);
  EXPECT_EQ(good.generation->per_token, std::nullopt);
  EXPECT_EQ(good.generation->gaps[0], Duration{});  // both came at once
}

// Cut in two at every byte, and byte by byte, with either line end and keep-alives between.
TEST(ChatStream, AnySplitGivesTheSameJudgement) {
  for (const bool crlf : {false, true}) {
    std::string text = ": first\n\n";
    text += concat(role_event("chat-1"), text_event("chat-1", "caf\u00e9 \\\" [DONE] "),
                   ":\n\n: ping\n", chunk_event("chat-1", R"({"reasoning_content":"hm"})"),
                   finish_event("chat-1"), usage_event("chat-1", 7, 4), ": bye\n\n", kDoneEvent);
    if (crlf) {
      std::string with_cr;
      for (const char c : text) with_cr += c == '\n' ? std::string("\r\n") : std::string(1, c);
      text = with_cr;
    }
    Streams streams;
    const std::string_view all = text;
    const auto check = [&](const Judgement& judgement, size_t split) {
      ASSERT_TRUE(judgement.ok) << split << ": " << judgement.error;
      EXPECT_EQ(judgement.prompt_tokens, 7);
      EXPECT_EQ(judgement.generation->output_tokens, 4);
      EXPECT_EQ(judgement.generation->pieces.size(), 2u);
      EXPECT_EQ(judgement.generation->gaps.size(), 1u);
    };
    for (size_t i = 0; i <= all.size(); ++i)
      check(streams.judge({all.substr(0, i), all.substr(i)}), i);
    std::vector<std::string_view> bytes;
    for (size_t i = 0; i < all.size(); ++i) bytes.push_back(all.substr(i, 1));
    check(streams.judge(bytes), 0);
    // Every cut-off stream is a failure. (The last CR ends the line, with or without its LF.)
    for (size_t i = 0; i + (crlf ? 1 : 0) < all.size(); ++i)
      ASSERT_FALSE(streams.judge({all.substr(0, i)}).ok) << i;
  }
}

TEST(ChatStream, EveryKindOfContentIsAPiece) {
  for (const std::string_view delta :
       {R"({"content":"x"})", R"({"reasoning":"x"})", R"({"reasoning_content":"x"})",
        R"({"refusal":"no"})", R"({"tool_calls":[{"index":0,"function":{"arguments":"{"}}]})",
        R"({"function_call":{"name":"f"}})"}) {
    Streams streams;
    const Judgement good = streams.judge(
        {concat(role_event("a"), chunk_event("a", delta), finish_event("a"), kDoneEvent)});
    ASSERT_TRUE(good.ok) << good.error;
    EXPECT_EQ(good.generation->pieces.size(), 1u) << delta;
  }
  for (const std::string_view delta :
       {R"({"content":""})", R"({"content":null})", R"({"tool_calls":[]})", R"({"x":"y"})"}) {
    Streams streams;
    const Judgement good = streams.judge(
        {concat(role_event("a"), chunk_event("a", delta), finish_event("a"), kDoneEvent)});
    ASSERT_TRUE(good.ok) << good.error;
    EXPECT_TRUE(good.generation->pieces.empty()) << delta;
  }
}

// Gaps are between pieces of one choice; no time per token is told of several.
TEST(ChatStream, SeveralChoicesInterleave) {
  Streams streams(2);
  const std::string roles = role_event("a", 1) + role_event("a", 0), zero = text_event("a", "x"),
                    one = text_event("a", "y", 1),
                    end = concat(finish_event("a"), finish_event("a", 1), usage_event("a", 5, 4));
  const Judgement good = streams.judge({roles, zero, one, zero, one, end, kDoneEvent});
  ASSERT_TRUE(good.ok) << good.error;
  EXPECT_EQ(good.generation->pieces.size(), 4u);
  ASSERT_EQ(good.generation->gaps.size(), 2u);
  EXPECT_EQ(good.generation->gaps[0], milliseconds(20));
  EXPECT_EQ(good.generation->gaps[1], milliseconds(20));
  EXPECT_EQ(good.generation->per_token, std::nullopt);
  // Two choices in one event.
  const std::string both =
      R"(data: {"id":"a","choices":[{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":"stop"},)"
      R"({"index":1,"delta":{"role":"assistant","content":"y"},"finish_reason":"length"}]})";
  const Judgement together = streams.judge({both, "\n\n", kDoneEvent});
  ASSERT_TRUE(together.ok) << together.error;
  EXPECT_EQ(together.generation->pieces.size(), 2u);
}

TEST(ChatStream, WrongStreamsFailWithTheirReason) {
  const std::string role = role_event("a"), text = text_event("a", "x"), finish = finish_event("a"),
                    done(kDoneEvent);
  const std::pair<std::string, std::string> cases[] = {
      {"", "status 200 without events: empty body"},
      {": ping\n\n", "status 200 without events: empty body"},
      {R"({"detail":"no streams here"})", "status 200 without events: 'no streams here'"},
      {"<html>\n", "status 200 without events: '<html>'"},
      {role + text + finish, "stream ended without [DONE] after 3 events"},
      {role + text + "data: {", "stream ended without [DONE] after 2 events, inside the next one"},
      {role + text + done, "choice 0 has no finish_reason"},
      {done, "no event of choice 0"},
      {role + text + finish + done + text, "event 5: want nothing after [DONE]"},
      {text + finish + done, "event 1: choice 0 begins without the role 'assistant'"},
      {role + text_event("b", "x") + finish + done,
       "event 2: id 'b', but the answer began with 'a'"},
      {role_event("") + done, "event 1 has no 'id'"},
      {role + finish + text + done, "event 3: choice 0 goes on after its finish_reason"},
      {role + text_event("a", "x", 1) + done, "event 2: choice without an 'index' 0..0"},
      {role + text_event("a", "x", -1) + done, "event 2: choice without an 'index' 0..0"},
      {role + "data: {\"id\":\n\n", "event 2 is not JSON ("},
      {role + "data: hello\n\n", "event 2 is not JSON ("},
      {role + "data: [1]\n\n", "event 2 has no array 'choices'"},
      {role + "data: {\"id\":\"a\",\"choices\":{}}\n\n", "event 2 has no array 'choices'"},
      {role + chunk_event("a", "null") + done, "event 2: choice 0 has no object 'delta'"},
      {role + "data: {\"id\":\"a\",\"choices\":[7]}\n\n", "event 2: choice without an 'index'"},
      {role + usage_event("a", 5, -1), "event 2: usage.completion_tokens: want a whole number"},
      {role + "data: {\"id\":\"a\",\"choices\":[],\"usage\":{\"prompt_tokens\":\"9\"}}\n\n",
       "event 2: usage.prompt_tokens: want a whole number"},
      {role + text + "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n",
       "error event: 'out of memory'"},
      {role + "event: error\ndata: {\"detail\":\"gone\"}\n\n", "error event: 'gone'"},
      {role + "data: " + std::string(SseParser::kEventBytesMax + 1, 'x'),
       "event 2 is over 1048576 bytes"},
      {role + "data: {\"id\":\"a\xff\"}\n\n", "event 2 is not JSON ("},
      {role + "data: " + std::string(5000, '[') + "\n\n", "event 2 is not JSON ("},
  };
  Streams streams;  // a failure leaves nothing behind
  for (const auto& [stream, want] : cases) {
    const Judgement judgement = streams.judge({stream});
    EXPECT_FALSE(judgement.ok) << want;
    EXPECT_FALSE(judgement.status_fault);
    EXPECT_TRUE(judgement.error.starts_with(want)) << judgement.error << "\nwant: " << want;
    EXPECT_TRUE(streams.judge({role, text, finish, done}).ok);
  }
}

// What real servers add: filter results ahead, usage in every event, a role in every delta.
TEST(ChatStream, HarmlessExtrasAreAccepted) {
  Streams streams;
  const std::string stream = concat(
      "data: {\"id\":\"\",\"choices\":[],\"prompt_filter_results\":[]}\n\n",
      R"(data: {"id":"a","choices":[{"index":0,"delta":{"role":"assistant","content":"x"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}})",
      "\n\n",
      R"(data: {"id":"a","choices":[{"index":0,"delta":{"role":"assistant","content":"y"},"finish_reason":"length"}],"error":null,"usage":{"prompt_tokens":3,"completion_tokens":2}})",
      "\n\n", kDoneEvent);
  const Judgement good = streams.judge({stream});
  ASSERT_TRUE(good.ok) << good.error;
  EXPECT_EQ(good.generation->output_tokens, 2);
  EXPECT_EQ(good.generation->pieces.size(), 2u);
}

TEST(ChatStream, PiecesOfAnAnswerAreBounded) {
  Streams streams;
  const std::string role = role_event("a");
  std::string many;
  for (int i = 0; i < 1024; ++i)
    many += "data:{\"id\":\"a\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
  std::vector<std::string_view> parts = {role};
  for (size_t i = 0; i <= kPiecesMax / 1024; ++i) parts.push_back(many);
  EXPECT_NE(streams.judge(parts).error.find(": over 1048576 pieces"), std::string::npos);
}

std::string whole_answer(std::string_view choices, std::string_view usage = "") {
  return concat(R"({"id":"a","object":"chat.completion","choices":[)", choices, "]", usage, "}");
}

TEST(ChatWhole, RightAndWrongAnswers) {
  const auto judge = make_chat_judge({.stream = false});
  EXPECT_EQ(judge->make_stream(), nullptr);
  const std::string choice =
      R"({"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"})";
  const std::string usage =
      R"(,"usage":{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":8}})";
  const Judgement good = judge->judge(0, {200, whole_answer(choice, usage)});
  ASSERT_TRUE(good.ok) << good.error;
  EXPECT_EQ(good.prompt_tokens, 9);
  EXPECT_EQ(good.generation->output_tokens, 12);
  EXPECT_EQ(good.generation->cached_tokens, 8);
  EXPECT_TRUE(good.generation->pieces.empty());
  const Judgement untold = judge->judge(0, {200, whole_answer(choice)});
  EXPECT_TRUE(untold.ok);
  EXPECT_FALSE(untold.generation.has_value());

  const std::pair<std::string, std::string> cases[] = {
      {"", "answer is not JSON ("},
      {"data: [DONE]", "answer is not JSON ("},
      {"{}", "answer has no 'id'"},
      {R"({"error":{"message":"no"}})", "status 200 with an error: 'no'"},
      {R"({"id":"a"})", "answer has no array 'choices'"},
      {whole_answer(""), "answer has 0 choices, want 1"},
      {whole_answer(R"({"index":1})"), "choices[0].index: want 0"},
      {whole_answer(R"({"index":0,"message":{"role":"user"}})"),
       "choices[0] has no message of the assistant"},
      {whole_answer(R"({"index":0,"message":{"role":"assistant"},"finish_reason":null})"),
       "choices[0] has no finish_reason"},
      {whole_answer(choice, R"(,"usage":{"completion_tokens":1.5})"),
       "usage.completion_tokens: want a whole number 0..1000000000, got '1.5'"},
  };
  for (const auto& [body, want] : cases) {
    const Judgement judgement = judge->judge(0, {200, body});
    EXPECT_FALSE(judgement.ok || judgement.status_fault);
    EXPECT_TRUE(judgement.error.starts_with(want)) << judgement.error << "\nwant: " << want;
  }
  const Judgement refused = judge->judge(0, {429, R"({"error":{"message":"queue is full"}})"});
  EXPECT_TRUE(refused.status_fault);
  EXPECT_EQ(refused.error, "status 429: 'queue is full'");
}

}  // namespace
}  // namespace sis::perf
