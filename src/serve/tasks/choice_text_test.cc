#include "serve/tasks/choice_text.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::tasks {
namespace {

using engine::Finish;
using Start = ReasoningSplit::Start;

std::unique_ptr<text::Tokenizer> golden(const char* family) {
  auto made = text::Tokenizer::from_folder(concat("tests/golden/tokenizer/", family));
  EXPECT_TRUE(made.ok()) << made.error().message;
  return std::move(*made);
}

struct Answer {
  std::string content, reasoning, calls, logprob_bytes;
  FinishReason reason = FinishReason::kStop;
  int32_t tokens = 0, reasoning_tokens = 0;

  void add(const Delta& delta) {
    EXPECT_TRUE(is_utf8(delta.content) && is_utf8(delta.reasoning)) << delta.content;
    content += delta.content;
    reasoning += delta.reasoning;
    for (const auto& call : delta.tool_calls) {
      EXPECT_TRUE(is_utf8(call.arguments));
      if (!call.name.empty()) calls += concat("|", call.name);
      calls += call.arguments;
    }
    for (const auto& token : delta.logprobs) logprob_bytes += token.token.bytes;
  }
  bool operator==(const Answer& other) const {
    return content == other.content && reasoning == other.reasoning && calls == other.calls &&
           reason == other.reason;
  }
};

Answer run(const TextPlan& plan, const std::vector<int32_t>& ids, Finish finish) {
  ChoiceText choice(plan, 1);
  Answer answer;
  for (const int32_t id : ids) {
    Delta delta;
    const bool goes_on = choice.push({.id = id, .logprob = -1}, delta);
    answer.add(delta);
    if (!goes_on) {
      finish = Finish::kSink;
      break;
    }
  }
  Delta delta;
  answer.reason = choice.finish(finish, delta);
  answer.add(delta);
  answer.tokens = choice.tokens();
  answer.reasoning_tokens = choice.reasoning_tokens();
  return answer;
}

std::vector<int32_t> encode(const text::Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.add_special_tokens = false}).ids;
}

// The same text cut at random places, each piece by itself into tokens: down to single bytes where
// the tokenizer has these.
std::vector<int32_t> encode_in_pieces(const text::Tokenizer& tokenizer, std::string_view text,
                                      Rng& rng, size_t piece_max) {
  std::vector<int32_t> ids;
  while (!text.empty()) {
    size_t size = std::min<size_t>(text.size(), 1 + rng.below(piece_max));
    while (size < text.size() && (text[size] & 0xC0) == 0x80) ++size;
    const auto piece = encode(tokenizer, text.substr(0, size));
    ids.insert(ids.end(), piece.begin(), piece.end());
    text.remove_prefix(size);
  }
  return ids;
}

constexpr const char* kTexts[] = {
    "Plain words, and more of them.",
    "<think>\nHm, \u4e2d\u6587 \U0001F469\u200D\U0001F467 caf\u00e9?\n</think>\n\nYes: \U0001F600 "
    "STOP never seen",
    "Weather.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"M\u00fcnchen "
    "\U0001F327\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\"}\n</tool_call>",
    "<think>STO</think>a <tool_call>broken</tool_call> ST\u00d6P",
    "<think>\nI call.\n</think>\n\n<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":[1,2,"
    "\"\u65e5\u672c\"]}}</tool_call>STOP",
    "no end: <tool_call>{\"name\": \"f\", \"arguments\": {\"x\": \"",
    "\n\n  white  \n\n",
    "<think>a\n</think>\nb\n<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": "
    "\"STOP\"}}</tool_call> and STOP <tool_call>{\"name\": \"g\"}</tool_call>",
    "\U0001F1E9\U0001F1EA\U0001F468\u200D\U0001F469\u200D\U0001F467 e\u0301 \u0915\u094d\u0937",
};

TextPlan plan_for(const text::Tokenizer& tokenizer) {
  TextPlan plan;
  plan.tokenizer = &tokenizer;
  plan.stops = {"STOP", "\U0001F600 never"};
  plan.reasoning = Start::kAnswer;
  plan.tool_format = ToolFormat::kHermes;
  plan.tools = {{.name = "f"}, {.name = "g"}};
  plan.logprobs = true;
  plan.token_bytes = [&tokenizer](int32_t id) { return tokenizer.decode({id}, false); };
  return plan;
}

// Any tokenisation of a text gives the same content, reasoning and calls.
TEST(ChoiceText, DoesNotDependOnTheTokens) {
  for (const char* family : {"qwen2", "llama3", "gemma"}) {
    const auto tokenizer = golden(family);
    const TextPlan plan = plan_for(*tokenizer);
    Rng rng{21};
    int compared = 0;
    for (const char* text : kTexts) {
      const auto ids = encode(*tokenizer, text);
      if (tokenizer->decode(ids, true) != text) continue;  // what this family cannot write
      const Answer whole = run(plan, ids, Finish::kEos);
      for (int round = 0; round < 60; ++round) {
        const auto pieces = encode_in_pieces(*tokenizer, text, rng, 1 + round % 9);
        if (tokenizer->decode(pieces, true) != text) continue;
        const Answer answer = run(plan, pieces, Finish::kEos);
        ASSERT_TRUE(answer == whole) << family << ": " << text << "\n"
                                     << answer.content << "\n"
                                     << answer.reasoning << "\n"
                                     << answer.calls;
        ++compared;
      }
      // And wherever it is cut off.
      for (std::string_view begun = text; !begun.empty(); begun.remove_suffix(1)) {
        const auto cut = encode(*tokenizer, begun);
        const auto pieces = encode_in_pieces(*tokenizer, begun, rng, 4);
        if (tokenizer->decode(cut, true) != begun || tokenizer->decode(pieces, true) != begun)
          continue;
        ASSERT_TRUE(run(plan, pieces, Finish::kLength) == run(plan, cut, Finish::kLength))
            << family << ": " << begun;
        ++compared;
      }
    }
    EXPECT_GT(compared, 600) << family;
  }
}

// Cut off anywhere, what was said until then is a beginning of what would have been said.
TEST(ChoiceText, TakesNothingBack) {
  const auto tokenizer = golden("qwen2");
  const TextPlan plan = plan_for(*tokenizer);
  for (const char* text : kTexts) {
    const auto ids = encode(*tokenizer, text);
    ChoiceText whole(plan, 1);
    Answer until;
    const Answer end = run(plan, ids, Finish::kEos);
    for (const int32_t id : ids) {
      Delta delta;
      const bool goes_on = whole.push({.id = id}, delta);
      until.add(delta);
      ASSERT_TRUE(end.content.starts_with(until.content)) << text;
      ASSERT_TRUE(end.reasoning.starts_with(until.reasoning)) << text;
      ASSERT_TRUE(end.calls.starts_with(until.calls)) << text;
      if (!goes_on) break;
    }
  }
}

// Cut off by the token limit anywhere, an answer shows a beginning of what it would have shown:
// nothing of a call that has hardly begun, which is one marker that no tokens cut.
TEST(ChoiceText, CutAnywhereShowsNoMarkup) {
  const auto tokenizer = golden("qwen2");
  TextPlan plan = plan_for(*tokenizer);
  plan.stops.clear();
  const char* broken = kTexts[3];  // shows its marker
  for (const char* text : kTexts) {
    if (text == broken) continue;
    const auto ids = encode(*tokenizer, text);
    const Answer end = run(plan, ids, Finish::kEos);
    for (size_t size = 0; size < ids.size(); ++size) {
      const std::vector<int32_t> begun(ids.begin(), ids.begin() + size);
      if (tokenizer->decode(begun, true).ends_with("\ufffd")) continue;  // half a character
      const Answer cut = run(plan, begun, Finish::kLength);
      // White space before a call that did not come is text.
      ASSERT_TRUE(trim(end.content).starts_with(trim(cut.content))) << text << ": " << cut.content;
      ASSERT_TRUE(end.reasoning.starts_with(cut.reasoning)) << text << ": " << cut.reasoning;
      ASSERT_TRUE(end.calls.starts_with(cut.calls)) << text << ": " << cut.calls;
    }
  }
  // Where calls are required, markers may be cut as well.
  plan.calls_required = true;
  Rng rng{22};
  const auto bytes = encode_in_pieces(
      *tokenizer, "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>", rng, 1);
  for (size_t size = 0; size <= bytes.size(); ++size)
    ASSERT_EQ(run(plan, {bytes.begin(), bytes.begin() + size}, Finish::kLength).content, "");
}

// Stop strings are looked for in what is thought and said, not in calls, so that arguments parse.
TEST(ChoiceText, StopStringsAreNotLookedForInCalls) {
  const auto tokenizer = golden("qwen2");
  TextPlan plan = plan_for(*tokenizer);
  const auto say = [&](std::string_view text, std::vector<std::string> stops) {
    plan.stops = std::move(stops);
    return run(plan, encode(*tokenizer, text), Finish::kEos);
  };
  const std::string call =
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";
  for (const char* stop : {"Oslo", "call", "<tool_call>", "\n", "{", "}\n</", "a"}) {
    const Answer answer = say(call, {stop});
    EXPECT_EQ(answer.calls, "|f{\"city\": \"Oslo\"}") << stop;
    EXPECT_EQ(answer.content, "") << stop;
    EXPECT_EQ(answer.reason, FinishReason::kToolCalls) << stop;
  }
  // Before, behind and between calls they are found; a call is no part of one.
  Answer answer = say("In Oslo. " + call, {"Oslo"});
  EXPECT_EQ(answer.content + answer.calls, "In ");
  EXPECT_EQ(answer.reason, FinishReason::kStop);
  answer = say(call + " In Oslo. " + call, {"Oslo"});
  EXPECT_EQ(answer.content + answer.calls, " In |f{\"city\": \"Oslo\"}");
  EXPECT_EQ(answer.reason, FinishReason::kToolCalls);
  answer = say("Os" + call + "lo", {"Oslo"});
  EXPECT_EQ(answer.content + answer.calls, "Oslo|f{\"city\": \"Oslo\"}");
  // What turns out to be no call is content.
  EXPECT_EQ(say("a <tool_call>Oslo", {"Oslo"}).content, "a <tool_call>");
  // Thoughts and the end of them.
  answer = say("<think>\nOslo?</think>" + call, {"lo"});
  EXPECT_EQ(answer.reasoning + "/" + answer.content + answer.calls, "Os/");
  answer = say("<think>\nOslo?</think>" + call, {"</think>"});
  EXPECT_EQ(answer.reasoning + "/" + answer.content + answer.calls, "Oslo?/");
}

TEST(ChoiceText, SplitsAndFinishes) {
  const auto tokenizer = golden("qwen2");
  const TextPlan plan = plan_for(*tokenizer);
  const auto say = [&](const char* text, Finish finish) {
    return run(plan, encode(*tokenizer, text), finish);
  };
  Answer answer = say(kTexts[1], Finish::kEos);
  EXPECT_EQ(answer.reasoning, "Hm, \u4e2d\u6587 \U0001F469\u200D\U0001F467 caf\u00e9?");
  EXPECT_EQ(answer.content, "Yes: \U0001F600 ");
  EXPECT_EQ(answer.reason, FinishReason::kStop);
  EXPECT_GT(answer.reasoning_tokens, 5);
  EXPECT_LT(answer.reasoning_tokens, answer.tokens);

  answer = say(kTexts[2], Finish::kEos);
  EXPECT_EQ(answer.content, "Weather.");
  EXPECT_EQ(answer.calls, "|f{\"city\": \"M\u00fcnchen \U0001F327\"}|g{}");
  EXPECT_EQ(answer.reason, FinishReason::kToolCalls);
  EXPECT_EQ(answer.reasoning_tokens, 0);

  answer = say(kTexts[5], Finish::kLength);
  EXPECT_EQ(answer.calls, "|f{\"x\": \"");
  EXPECT_EQ(answer.reason, FinishReason::kLength);
  EXPECT_EQ(say("text", Finish::kStopId).reason, FinishReason::kStop);
  EXPECT_EQ(say("text", Finish::kGrammar).reason, FinishReason::kStop);
  EXPECT_EQ(say("a STOP", Finish::kLength).reason, FinishReason::kStop);
}

// A prompt that opened the think block; a model that does not think; one that has no tools.
TEST(ChoiceText, DoesWhatItsPlanSays) {
  const auto tokenizer = golden("qwen2");
  TextPlan plan;
  plan.tokenizer = tokenizer.get();
  const char* text = "a</think>b <tool_call>{\"name\":\"f\"}</tool_call>";
  const auto ids = encode(*tokenizer, text);
  EXPECT_EQ(run(plan, ids, Finish::kEos).content, text);
  plan.reasoning = Start::kThinking;
  const Answer answer = run(plan, ids, Finish::kEos);
  EXPECT_EQ(answer.reasoning, "a");
  EXPECT_EQ(answer.content, "b <tool_call>{\"name\":\"f\"}</tool_call>");
}

// The token that ends a choice is no text, whatever it is; special tokens are when asked for.
TEST(ChoiceText, EndAndSpecialTokens) {
  const auto tokenizer = golden("qwen2");
  TextPlan plan;
  plan.tokenizer = tokenizer.get();
  auto ids = encode(*tokenizer, "a<|im_start|>b");
  const int32_t end = *tokenizer->token_to_id("<|im_end|>");
  ids.push_back(end);
  EXPECT_EQ(run(plan, ids, Finish::kEos).content, "ab");
  plan.skip_special_tokens = false;
  EXPECT_EQ(run(plan, ids, Finish::kEos).content, "a<|im_start|>b<|im_end|>");
  plan.end_ids = {end};
  const Answer answer = run(plan, ids, Finish::kEos);
  EXPECT_EQ(answer.content, "a<|im_start|>b");
  EXPECT_EQ(answer.tokens, static_cast<int32_t>(ids.size()));
}

// Special tokens that mark calls are seen although the client does not see special tokens.
TEST(ChoiceText, SeesMarkersThatAreSpecial) {
  auto made = text::Tokenizer::from_json(R"({"version":"1.0","added_tokens":[
      {"id":5,"content":"[TOOL_CALLS]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
      {"id":6,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
      "decoder":{"type":"Fuse"},
      "model":{"type":"WordLevel","unk_token":"?","vocab":{"?":0,"Ok.":1,"[{\"name\":":2,"\"f\"}]":3,"x":4}}})");
  ASSERT_TRUE(made.ok()) << made.error().message;
  TextPlan plan;
  plan.tokenizer = made->get();
  plan.tool_format = ToolFormat::kMistral;
  plan.tools = {{.name = "f"}};
  const Answer answer = run(plan, {1, 5, 2, 3, 6}, Finish::kEos);
  EXPECT_EQ(answer.content, "Ok.");
  EXPECT_EQ(answer.calls, "|f{}");
  plan.tool_format.reset();
  EXPECT_EQ(run(plan, {1, 5, 4, 6}, Finish::kEos).content, "Ok.x");
}

// Logprobs come with the text of their tokens, all of them by the end, and none behind a stop.
TEST(ChoiceText, LogprobsFollowTheText) {
  const auto tokenizer = golden("qwen2");
  TextPlan plan = plan_for(*tokenizer);
  plan.reasoning = Start::kOff;
  plan.tool_format.reset();
  const auto bytes = [&](const std::vector<int32_t>& ids) {
    std::string joined;
    for (const int32_t id : ids) joined += plan.token_bytes(id);
    return joined;
  };
  const auto ids = encode(*tokenizer, "one S two");
  EXPECT_EQ(run(plan, ids, Finish::kEos).logprob_bytes, bytes(ids));

  const auto stopped = encode(*tokenizer, "one STOP two");
  // A token that has the cut in its middle still counts.
  const Answer answer = run(plan, stopped, Finish::kEos);
  EXPECT_EQ(answer.content, "one ");
  EXPECT_TRUE(answer.logprob_bytes == "one " || answer.logprob_bytes == "one S")
      << answer.logprob_bytes;

  // The same where calls are sought and the end of a text waits for what follows.
  plan.tool_format = ToolFormat::kHermes;
  for (const char* text : {"one STOP two", "one <tool_ STOP two", "one STOP<tool_call>"}) {
    const Answer sought = run(plan, encode(*tokenizer, text), Finish::kEos);
    EXPECT_TRUE(sought.logprob_bytes == sought.content ||
                sought.logprob_bytes == sought.content + "S")
        << sought.content << " / " << sought.logprob_bytes;
  }
  plan.tool_format.reset();

  // Never ahead of the text: "S" waits, and so does what it waits with.
  ChoiceText choice(plan, 1);
  std::string text, logprobs;
  for (const int32_t id : encode(*tokenizer, "one S two ST")) {
    Delta delta;
    choice.push({.id = id}, delta);
    text += delta.content;
    for (const auto& token : delta.logprobs) logprobs += token.token.bytes;
    ASSERT_TRUE(text.starts_with(logprobs)) << text << " / " << logprobs;
  }
  EXPECT_EQ(text, "one S two ");
  EXPECT_TRUE(logprobs.starts_with("one S two")) << logprobs;
}

// Half a character is no text, but its tokens' logprobs are there.
TEST(ChoiceText, TokensOfOneCharacterStayTogether) {
  const auto tokenizer = golden("qwen2");
  TextPlan plan = plan_for(*tokenizer);
  const auto ids = encode(*tokenizer, "\U0001F9FF");
  ASSERT_GT(ids.size(), 1u);
  ChoiceText choice(plan, 1);
  for (size_t i = 0; i < ids.size(); ++i) {
    Delta delta;
    choice.push({.id = ids[i]}, delta);
    EXPECT_EQ(delta.content, i + 1 < ids.size() ? "" : "\U0001F9FF");
    EXPECT_EQ(delta.logprobs.size(), i + 1 < ids.size() ? 0 : ids.size());
  }
}

TEST(ChoiceText, MinimumOfTokensShadowsStops) {
  const auto tokenizer = golden("qwen2");
  TextPlan plan = plan_for(*tokenizer);
  const auto ids = encode(*tokenizer, "STOP a STOP b");
  EXPECT_EQ(run(plan, ids, Finish::kEos).content, "");
  plan.tokens_min = static_cast<int32_t>(encode(*tokenizer, "STOP").size());
  EXPECT_EQ(run(plan, ids, Finish::kEos).content, "STOP a ");
}

// After a prompt in the middle of a text the answer's first space is kept.
TEST(ChoiceText, GoesOnWhereThePromptEnded) {
  auto made = text::Tokenizer::from_json(R"({"version":"1.0","added_tokens":[],
      "decoder":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true},
      "model":{"type":"WordLevel","unk_token":"?","vocab":{"?":0,"\u2581a":1,"\u2581b":2}}})");
  ASSERT_TRUE(made.ok()) << made.error().message;
  TextPlan plan;
  plan.tokenizer = made->get();
  EXPECT_EQ(run(plan, {2}, Finish::kEos).content, "b");
  plan.continued = {1};
  EXPECT_EQ(run(plan, {2}, Finish::kEos).content, " b");
}

}  // namespace
}  // namespace sis::tasks
