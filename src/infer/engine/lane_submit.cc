// The callers' side of a lane.
#include <algorithm>

#include "base/strings.h"
#include "infer/engine/lane.h"
#include "infer/engine/submit_check.h"

namespace sis::engine {
namespace {

class TicketImpl final : public Generator::Ticket {
 public:
  TicketImpl(std::shared_ptr<Request> request, std::shared_ptr<Inbox> inbox)
      : request_(std::move(request)), inbox_(std::move(inbox)) {}
  ~TicketImpl() override {
    request_->gate.close();
    if (request_->ended.load(std::memory_order_acquire)) return;
    const std::lock_guard lock(inbox_->mutex);
    ++inbox_->cancellations;
    if (inbox_->wake) inbox_->wake();
  }

 private:
  const std::shared_ptr<Request> request_;
  const std::shared_ptr<Inbox> inbox_;
};

}  // namespace

Result<std::unique_ptr<Generator::Ticket>> GeneratorLane::submit(GenerateRequest call,
                                                                 std::shared_ptr<TokenSink> sink) {
  SIS_TRY(check_request(call, vocab_, options_.context_max));
  // Checkpoints name ends that their head does not have; these are never sampled.
  std::erase_if(call.eos_ids, [this](int32_t id) { return id < 0 || id >= vocab_; });
  auto request = std::make_shared<Request>(std::move(call), std::move(sink));
  const Sampling& sampling = request->call.sampling;
  request->choices = std::vector<Choice>(static_cast<size_t>(request->call.choices));
  request->choices_left = request->call.choices;
  request->penalties = sampling.frequency_penalty != 0 || sampling.presence_penalty != 0 ||
                       sampling.repetition_penalty != 1;
  request->top_count = static_cast<size_t>(std::clamp(request->call.logprobs, 0, vocab_));
  for (int32_t index = 0; Choice & choice : request->choices) {
    choice.request = request.get();
    choice.index = index++;
    choice.salt = request->call.cache_salt;
    choice.prompt_tokens = static_cast<int32_t>(request->call.prompt.size());
    choice.sampled = request->call.tokens_max > 0;
    choice.scored = request->call.prompt_logprobs ? 0 : -1;
  }
  Choice& first = request->choices.front();
  request->tokens_max =
      std::min(request->call.tokens_max, options_.context_max - first.prompt_tokens);
  request->stats.prompt_tokens = first.prompt_tokens;
  first.tokens = std::move(request->call.prompt);
  // Most answers are shorter; longer ones grow.
  first.tokens.reserve(first.tokens.size() +
                       static_cast<size_t>(std::min(request->tokens_max, 256)));
  if (sampling.repetition_penalty != 1) first.counts.add_prompt(first.tokens);
  first.submitted = clock_.now();
  // Before the request is out of our hands: destroying the ticket must not miss it.
  auto ticket = std::make_unique<TicketImpl>(request, inbox_);

  const char* refusal = nullptr;
  Code code = Code::kUnavailable;
  {
    const std::lock_guard lock(inbox_->mutex);
    if (!inbox_->open) {
      refusal = "closing";
    } else if (inbox_->waiting >= options_.queue_requests_max) {
      refusal = "the queue is full";
      code = Code::kOverloaded;
    } else {
      ++inbox_->waiting;
      inbox_->arrived.push_back(request);
      ++inbox_->arrivals;
      if (inbox_->wake) inbox_->wake();
    }
  }
  if (!refusal) return std::unique_ptr<Generator::Ticket>(std::move(ticket));
  if (code == Code::kOverloaded) observer_.on_line_full(inbox_->waiting);
  request->ended = true;
  return Error{code, concat("generator: ", refusal)};
}

void GeneratorLane::close() {
  const std::lock_guard lock(inbox_->mutex);
  inbox_->open = false;
}

void GeneratorLane::disconnect() {
  const std::lock_guard lock(inbox_->mutex);
  inbox_->open = false;
  inbox_->wake = nullptr;
}

}  // namespace sis::engine
