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
    calls_ = make_tool_call_parser({.format = *plan.tool_format,
                                    .parallel = plan.parallel_tool_calls,
                                    .id_seed = seed,
                                    .required = plan.calls_required,
                                    .stop = &stop_},
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
    attach_logprobs(read_ - stop_.held() - split_.held() - (calls_ ? calls_->held() : 0), delta);
  return !over();
}

void ChoiceText::feed(std::string_view text, Delta& delta) {
  stop_.sleep(tokens_ <= plan_.tokens_min);
  // Byte by byte, because each may change which stage is the next one's first.
  for (size_t at = 0; at < text.size() && !over(); ++at, ++read_) {
    const std::string_view byte = text.substr(at, 1);
    std::string content;
    if (split_.thinking()) {
      std::string passed;
      stop_.push(byte, passed);
      split_.push(passed, content, delta.reasoning);
      if (!split_.thinking()) {  // what is still held back is the answer's
        passed.clear();
        stop_.flush(passed);
        split_.push(passed, content, delta.reasoning);
      }
    } else {
      split_.push(byte, content, delta.reasoning);
    }
    say(content, delta);
  }
}

void ChoiceText::say(const std::string& content, Delta& delta) {
  if (calls_)
    calls_->push(content, delta);
  else
    stop_.push(content, delta.content);
}

FinishReason ChoiceText::finish(engine::Finish finish, Delta& delta) {
  const std::string rest = decoder_.flush();
  decoded_ += rest.size();
  feed(rest, delta);
  std::string content;
  if (split_.thinking()) {
    std::string held;
    stop_.flush(held);
    split_.push(held, content, delta.reasoning);
  }
  split_.flush(content, delta.reasoning);
  say(content, delta);
  if (calls_) calls_->flush(delta);
  stop_.flush(delta.content);
  // Tokens that lie behind a stop string's beginning gave nothing to the text.
  const uint64_t cut = read_ - stop_.held() - (calls_ ? calls_->held() : 0);
  while (stop_.stopped() && !waiting_.empty() && waiting_.back().begin >= cut) waiting_.pop_back();
  attach_logprobs(UINT64_MAX, delta);

  if (finish == engine::Finish::kLength && !over()) return FinishReason::kLength;
  return calls_ && calls_->calls() > 0 ? FinishReason::kToolCalls : FinishReason::kStop;
}

void ChoiceText::attach_logprobs(uint64_t settled, Delta& delta) {
  while (!waiting_.empty() && waiting_.front().end <= settled) {
    delta.logprobs.push_back(std::move(waiting_.front().logprobs));
    waiting_.pop_front();
  }
}

}  // namespace sis::tasks
