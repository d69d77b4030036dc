// One choice's way from sampled tokens to what its client reads.
//
// tokens -> text (StreamDecoder) -> content and reasoning (ReasoningSplit) -> tool calls
// (ToolCallParser). Stop strings (StopText) are looked for in a think block with its closing tag
// and in content, not in calls. Each stage gives on only what is final, so that all deltas joined
// are the same whatever the tokens were cut like. One thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "infer/engine/generator.h"
#include "infer/text/tokenizer/stream_decoder.h"
#include "infer/text/tokenizer/tokenizer.h"
#include "serve/tasks/generate.h"
#include "serve/tasks/reasoning.h"
#include "serve/tasks/stop_text.h"
#include "serve/tasks/tool_calls.h"

namespace sis::tasks {

// What all choices of a request share.
struct TextPlan {
  const text::Tokenizer* tokenizer = nullptr;
  bool skip_special_tokens = true;
  // Ids of the prompt's end when the answer goes on in the middle of a text.
  std::vector<int32_t> continued;
  std::unordered_set<int32_t> end_ids;  // end the choice; no part of its text
  std::vector<std::string> stops;
  int32_t tokens_min = 0;  // in the text of the first ones no stop string counts
  ReasoningSplit::Start reasoning = ReasoningSplit::Start::kOff;
  std::optional<ToolFormat> tool_format;  // null: no calls are sought
  std::vector<Tool> tools;
  bool calls_required = false;  // the answer is calls and nothing else
  bool parallel_tool_calls = true;
  bool logprobs = false;
  std::function<std::string(int32_t)> token_bytes;  // set when `logprobs`
};

// With the raw bytes of the tokens.
TokenLogprobs describe_token(const engine::TokenEvent& event,
                             const std::function<std::string(int32_t)>& token_bytes);

// Whether there is something in it.
bool has_text(const Delta& delta);

class ChoiceText {
 public:
  // Keeps a reference to `plan`. `seed` makes the ids of tool calls.
  ChoiceText(const TextPlan& plan, uint64_t seed);

  // Adds to `delta` what the token makes certain. False: the choice is over.
  bool push(const engine::TokenEvent& event, Delta& delta);
  // After the last token; `delta` gets the rest.
  FinishReason finish(engine::Finish finish, Delta& delta);

  int32_t tokens() const { return tokens_; }
  int32_t reasoning_tokens() const { return reasoning_tokens_; }

 private:
  bool is_skipped(int32_t id) const;
  bool over() const { return stop_.stopped() || (calls_ && calls_->done()); }
  void feed(std::string_view text, Delta& delta);
  void say(const std::string& content, Delta& delta);
  void attach_logprobs(uint64_t settled, Delta& delta);

  const TextPlan& plan_;
  text::StreamDecoder decoder_;
  StopText stop_;
  ReasoningSplit split_;
  std::unique_ptr<ToolCallParser> calls_;  // null: none are sought
  std::unordered_set<int32_t> markers_;    // special tokens that calls are made of

  // Positions are in bytes of the decoded text.
  struct Waiting {
    TokenLogprobs logprobs;
    uint64_t begin = 0, end = 0;
  };
  std::deque<Waiting> waiting_;      // tokens whose text is not settled
  uint64_t decoded_ = 0, read_ = 0;  // read_: the stages above have it
  int32_t tokens_ = 0, reasoning_tokens_ = 0;
};

}  // namespace sis::tasks
