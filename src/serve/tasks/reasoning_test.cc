#include "serve/tasks/reasoning.h"

#include <gtest/gtest.h>

namespace sis::tasks {
namespace {

using Start = ReasoningSplit::Start;

struct Parts {
  std::string content, reasoning;
  bool operator==(const Parts&) const = default;
};

Parts split(Start start, std::string_view text, size_t piece) {
  ReasoningSplit splitter(start);
  Parts parts;
  for (size_t at = 0; at < text.size(); at += piece) {
    splitter.push(text.substr(at, piece), parts.content, parts.reasoning);
    // Everything is somewhere or held, and what is held is little.
    EXPECT_LE(parts.content.size() + parts.reasoning.size() + splitter.held(), at + piece);
  }
  splitter.flush(parts.content, parts.reasoning);
  EXPECT_EQ(splitter.held(), 0u);
  return parts;
}

TEST(ReasoningSplit, SplitsAsTheHeaderSays) {
  struct Case {
    Start start;
    const char *text, *content, *reasoning;
  };
  const Case cases[] = {
      {Start::kAnswer, "<think>\nI see.\n</think>\n\nYes.", "Yes.", "I see."},
      {Start::kAnswer, "\n<think>a\n\nb</think>c", "c", "a\n\nb"},
      {Start::kAnswer, "<think>\n\n</think>\n\nNo thought.", "No thought.", ""},
      {Start::kAnswer, "  Plain, with <think> inside.", "  Plain, with <think> inside.", ""},
      {Start::kAnswer, "<thin air>", "<thin air>", ""},
      {Start::kAnswer, "<thin", "<thin", ""},
      {Start::kAnswer, "<think>cut off", "", "cut off"},
      {Start::kAnswer, "<think>cut off </thi", "", "cut off </thi"},
      {Start::kAnswer, "</think>\n\nStray.", "Stray.", ""},
      {Start::kAnswer, "<think>a</think>\n<think>b</think>\nc", "c", "ab"},
      {Start::kAnswer, "<think>a < b </ </t </think>c </think> d", "c </think> d", "a < b </ </t"},
      {Start::kAnswer, "<think>a<</think></think>", "", "a<"},
      {Start::kAnswer, "", "", ""},
      {Start::kAnswer, "<think>\n \n", "", ""},
      {Start::kThinking, "Right.\n</think>\n\nYes.", "Yes.", "Right."},
      {Start::kThinking, "<think>\nRight.</think>Yes.", "Yes.", "Right."},
      {Start::kThinking, "a <think> b</think>c", "c", "a <think> b"},
      {Start::kThinking, "\u4e2d\u6587 \U0001F600</think> \u00e9", "\u00e9",
       "\u4e2d\u6587 \U0001F600"},
      {Start::kOff, "<think>a</think>b", "<think>a</think>b", ""},
  };
  for (const auto& [start, text, content, reasoning] : cases)
    for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{100}}) {
      const Parts parts = split(start, text, piece);
      EXPECT_EQ(parts.content, content) << text << " in pieces of " << piece;
      EXPECT_EQ(parts.reasoning, reasoning) << text << " in pieces of " << piece;
    }
}

// A long run of white space costs no more than other text.
TEST(ReasoningSplit, LongWhiteSpaceIsCheap) {
  const std::string text = "<think>a" + std::string(4 << 20, ' ') + "b</think>c";
  const Parts parts = split(Start::kAnswer, text, 1 << 16);
  EXPECT_EQ(parts.reasoning.size(), (4u << 20) + 2);
  EXPECT_EQ(parts.content, "c");
}

TEST(Reasoning, SeesWhatTheTemplateAndThePromptSay) {
  EXPECT_TRUE(template_thinks("{{ '<think>\\n' }}"));
  EXPECT_TRUE(template_thinks("content.split('</think>')"));
  EXPECT_FALSE(template_thinks("{{ content }}"));
  EXPECT_TRUE(prompt_opens_thinking("<|Assistant|><think>\n"));
  EXPECT_FALSE(prompt_opens_thinking("<|Assistant|><think>\n\n</think>\n\n"));
  EXPECT_TRUE(prompt_closes_thinking("<|Assistant|><think>\n\n</think>\n\n"));
  EXPECT_FALSE(prompt_closes_thinking("<|Assistant|>"));
  EXPECT_FALSE(prompt_opens_thinking("What is <think>?<|Assistant|>"));
}

}  // namespace
}  // namespace sis::tasks
