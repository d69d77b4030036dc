#include "serve/tasks/choice_text.h"

#include <utility>

namespace sis::tasks {

TokenLogprobs describe_token(const engine::TokenEvent& event,
                             const std::function<std::string(int32_t)>& token_bytes) {
  TokenLogprobs token{.token = {token_bytes(event.id), event.id, event.logprob}};
  token.top.reserve(event.top.size());
  for (const auto& [id, logprob] : event.top) token.top.push_back({token_bytes(id), id, logprob});
  return token;
}

bool has_text(const Delta& delta) {
  return !delta.content.empty() || !delta.reasoning.empty() || !delta.tool_calls.empty();
}

ChoiceText::ChoiceText(const TextPlan& plan, uint64_t seed)
    : plan_(plan),
      // Special tokens are skipped here, because those that mark calls are not.
      decoder_(*plan.tokenizer, /*skip_special_tokens=*/false),
      stop_(plan.stops),
      split_(plan.reasoning) {
  if (plan.tool_format) {
    calls_ = make_tool_call_parser(
        {.format = *plan.tool_format, .parallel = plan.parallel_tool_calls, .id_seed = seed},
        plan.tools);
    for (const std::string_view marker : tool_markers(*plan.tool_format))
      if (const auto id = plan.tokenizer->token_to_id(marker)) markers_.insert(*id);
  }
  for (const int32_t id : plan.continued)
    if (!is_skipped(id)) decoder_.skip_prompt({&id, 1});
}

bool ChoiceText::is_skipped(int32_t id) const {
  return plan_.skip_special_tokens && !markers_.contains(id) &&
         !plan_.tokenizer->token_to_decode(id, /*skip_special_tokens=*/true);
}

bool ChoiceText::push(const engine::TokenEvent& event, Delta& delta) {
  ++tokens_;
  const bool was_thinking = split_.thinking();
  if (!plan_.end_ids.contains(event.id)) {
    const uint64_t begin = decoded_;
    const std::string text = is_skipped(event.id) ? std::string() : decoder_.push(event.id);
    decoded_ += text.size();
    if (plan_.logprobs)
      waiting_.push_back({describe_token(event, plan_.token_bytes), begin, decoded_});
    feed(text, delta);
  }
  if (was_thinking || split_.thinking()) ++reasoning_tokens_;
  if (has_text(delta))
    attach_logprobs(passed_ - split_.held() - (calls_ ? calls_->held() : 0), delta);
  return !stop_.stopped() && !(calls_ && calls_->done());
}

void ChoiceText::feed(std::string_view text, Delta& delta) {
  std::string passed;
  if (tokens_ <= plan_.tokens_min)
    stop_.pass(text, passed);
  else
    stop_.push(text, passed);
  pass_on(passed, delta);
}

void ChoiceText::pass_on(const std::string& text, Delta& delta) {
  passed_ += text.size();
  std::string content;
  split_.push(text, content, delta.reasoning);
  if (calls_)
    calls_->push(content, delta);
  else
    delta.content += content;
}

FinishReason ChoiceText::finish(engine::Finish finish, Delta& delta) {
  const std::string rest = decoder_.flush();
  decoded_ += rest.size();
  feed(rest, delta);
  if (!stop_.stopped()) {
    std::string held;
    stop_.flush(held);
    pass_on(held, delta);
  }
  std::string content;
  split_.flush(content, delta.reasoning);
  if (calls_) {
    calls_->push(content, delta);
    calls_->flush(delta);
  } else {
    delta.content += content;
  }
  // Tokens that lie behind a stop string's beginning gave nothing to the text.
  while (stop_.stopped() && !waiting_.empty() && waiting_.back().begin >= passed_)
    waiting_.pop_back();
  attach_logprobs(UINT64_MAX, delta);

  const bool whole = stop_.stopped() || (calls_ && calls_->done());
  if (finish == engine::Finish::kLength && !whole) return FinishReason::kLength;
  return calls_ && calls_->calls() > 0 ? FinishReason::kToolCalls : FinishReason::kStop;
}

void ChoiceText::attach_logprobs(uint64_t settled, Delta& delta) {
  while (!waiting_.empty() && waiting_.front().end <= settled) {
    delta.logprobs.push_back(std::move(waiting_.front().logprobs));
    waiting_.pop_front();
  }
}

}  // namespace sis::tasks
