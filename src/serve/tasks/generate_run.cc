#include "serve/tasks/generate_run.h"

#include <utility>

#include "base/check.h"

namespace sis::tasks {

GenerateRun::GenerateRun(GenerateCall call, std::shared_ptr<GenerateStream> stream,
                         std::shared_ptr<GenerateHost> host, const Clock& clock)
    : call_(std::move(call)),
      host_(std::move(host)),
      clock_(clock),
      submitted_(clock.now()),
      stream_(std::move(stream)) {}

bool GenerateRun::over() const {
  const std::lock_guard lock(mutex_);
  return stream_ == nullptr;
}

void GenerateRun::prepared(std::span<const int32_t> prompt, uint64_t seed) {
  const std::lock_guard lock(mutex_);
  prepared_ = clock_.now();
  if (call_.prompt_logprobs) prompt_.assign(prompt.begin(), prompt.end());
  for (int32_t i = 0; i < call_.choices; ++i)
    choices_.push_back(
        {.text = std::make_unique<ChoiceText>(plan_, seed + static_cast<uint64_t>(i))});
  if (stream_) stream_->on_prompt_tokens(static_cast<int32_t>(prompt.size()));
}

void GenerateRun::attach(std::unique_ptr<engine::Generator::Ticket> ticket) {
  const std::lock_guard lock(mutex_);
  if (stream_) std::swap(ticket_, ticket);
  // Else the ticket goes with its parameter, after the lock.
}

void GenerateRun::fail(Error error) {
  // Both are let go after the lock.
  std::unique_ptr<engine::Generator::Ticket> ticket;
  std::shared_ptr<GenerateStream> stream;
  const std::lock_guard lock(mutex_);
  if (!stream_) return;
  ticket = std::move(ticket_);
  stream = end(std::move(error));
}

void GenerateRun::cancel() {
  std::unique_ptr<engine::Generator::Ticket> ticket;
  std::shared_ptr<GenerateStream> stream;
  const std::lock_guard lock(mutex_);
  if (!stream_) return;
  ticket = std::move(ticket_);
  host_->forget(*this);
  stream = std::exchange(stream_, nullptr);
}

std::shared_ptr<GenerateStream> GenerateRun::end(Result<Usage> usage) {
  host_->forget(*this);
  auto stream = std::exchange(stream_, nullptr);
  stream->on_end(std::move(usage));
  return stream;
}

void GenerateRun::on_admitted(const engine::GenerateStats& stats) {
  const std::lock_guard lock(mutex_);
  if (!stream_ || std::exchange(started_, true)) return;
  stream_->on_prompt_tokens(stats.prompt_tokens - stats.cached_tokens);
  stream_->on_start(stats.prompt_tokens);
}

void GenerateRun::on_prompt_logprobs(std::span<const engine::TokenEvent> events) {
  const std::lock_guard lock(mutex_);
  if (!stream_ || prompt_.empty()) return;
  std::vector<TokenLogprobs> tokens;
  tokens.reserve(events.size() + 1);
  tokens.push_back({.token = {plan_.token_bytes(prompt_.front()), prompt_.front()}});
  for (const auto& event : events) tokens.push_back(describe_token(event, plan_.token_bytes));
  stream_->on_prompt(std::move(tokens));
}

bool GenerateRun::on_token(int32_t choice, const engine::TokenEvent& event) {
  const std::lock_guard lock(mutex_);
  if (!stream_) return false;
  SIS_CHECK(choice >= 0 && choice < call_.choices, "choice ", choice, " of ", call_.choices);
  if (!first_token_) first_token_ = clock_.now();
  Delta delta;
  const bool goes_on = choices_[static_cast<size_t>(choice)].text->push(event, delta);
  if (has_text(delta)) stream_->on_delta(choice, std::move(delta));
  return goes_on;
}

void GenerateRun::on_finish(int32_t choice, engine::Finish finish) {
  const std::lock_guard lock(mutex_);
  if (stream_) finish_choice(choice, finish);
}

void GenerateRun::finish_choice(int32_t index, engine::Finish finish) {
  Choice& choice = choices_[static_cast<size_t>(index)];
  if (std::exchange(choice.finished, true)) return;
  Delta delta;
  const FinishReason reason = choice.text->finish(finish, delta);
  if (has_text(delta) || !delta.logprobs.empty()) stream_->on_delta(index, std::move(delta));
  stream_->on_finish(index, reason);
}

void GenerateRun::on_end(Result<engine::GenerateStats> stats) {
  std::shared_ptr<GenerateStream> stream;  // let go after the lock
  const std::lock_guard lock(mutex_);
  if (!stream_) return;
  if (ticket_) host_->bury(std::move(ticket_));
  if (!stats.ok()) {
    stream = end(std::move(stats).error());
    return;
  }
  // A prompt that was only scored has choices without a token.
  for (int32_t i = 0; i < call_.choices; ++i) finish_choice(i, engine::Finish::kLength);
  stream = end(usage_of(*stats));
}

Usage GenerateRun::usage_of(const engine::GenerateStats& stats) const {
  Usage usage{.prompt_tokens = stats.prompt_tokens, .cached_tokens = stats.cached_tokens};
  for (const auto& choice : choices_) {
    usage.completion_tokens += choice.text->tokens();
    usage.reasoning_tokens += choice.text->reasoning_tokens();
  }
  usage.queue = stats.queue;
  usage.prepare = prepared_ - submitted_;
  usage.prefill = stats.prefill;
  if (first_token_) usage.decode = clock_.now() - *first_token_;
  return usage;
}

}  // namespace sis::tasks
