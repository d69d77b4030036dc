#include "infer/engine/lane.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "infer/engine/submit_check.h"

namespace sis::engine {
namespace {

Choice& choice_of(Sequence& sequence) { return static_cast<Choice&>(sequence); }

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::ranges::find(ids, id) != ids.end();
}

// The token that is sampled from the prompt's last row, for all choices at once.
bool starts_all_choices(const Choice& choice) { return choice.index == 0 && choice.generated == 0; }

SchedulerOptions scheduler_options(const GeneratorOptions& options) {
  return {.sequences_max = options.sequences_max,
          .step_tokens_max = options.step_tokens_max,
          .queue_wait_max = options.queue_wait_max,
          .idle_window = options.idle_window,
          .preemptions_max = options.preemptions_max};
}

}  // namespace

GeneratorLane::GeneratorLane(const nn::Decoder& decoder, const GeneratorOptions& options,
                             int32_t blocks, TaskPool& masks, const Clock& clock,
                             GeneratorObserver& observer, std::function<void()> wake)
    : decoder_(decoder),
      options_(options),
      vocab_(decoder.info().vocab),
      clock_(clock),
      observer_(observer),
      pool_(decoder.kv_layout(), blocks),
      cache_(pool_, options.prefix_cache),
      scheduler_(scheduler_options(options), cache_),
      pace_(options.step_stretch, options.step_tokens_max),
      masks_(masks),
      inbox_(std::make_shared<Inbox>()) {
  inbox_->wake = std::move(wake);
  ids_.reserve(static_cast<size_t>(options.step_tokens_max));
}

GeneratorLane::~GeneratorLane() { disconnect(); }

GeneratorGauges GeneratorLane::gauges() const {
  return {.waiting = inbox_->waiting + preempted_,
          .running = running_,
          .blocks_total = pool_.blocks(),
          .blocks_used = used_,
          .blocks_cached = cached_};
}

std::optional<TimePoint> GeneratorLane::ready_at(TimePoint now) {
  if (inbox_->arrivals > 0 || inbox_->cancellations > 0) return now;
  // Who waits does not wait for ever for a model that is being rebuilt.
  return decoder_.ready() ? scheduler_.ready_at(now) : scheduler_.expires_at();
}

void GeneratorLane::step(ops::Context& context) {
  take_arrivals();
  drop_cancelled();
  const TimePoint begin = clock_.now();
  if (decoder_.ready()) {
    const int32_t decoding = scheduler_.decoding();
    const int32_t prompts = scheduler_.waiting() + scheduler_.running() - decoding;
    scheduler_.plan(begin, plan_, pace_.prefill_max(decoding, prompts, context.time_wanted));
  } else {
    scheduler_.plan_expired(begin, plan_);
  }
  report_plan(begin);
  if (!plan_.parts.empty()) {
    build_batch();
    start_masks();
    const Workspace::Scope scope(context.workspace);
    const Mat<float> logits =
        context.workspace.take_mat<float>(static_cast<int64_t>(logit_rows_.size()), vocab_);
    decoder_.forward(context, {ids_, kv_rows_, logit_rows_}, pool_.view(), logits);
    scheduler_.commit(plan_);
    masks_.wait();
    ask_sampler(logits);
    sample_rows(context, rows_, vocab_);
    const TimePoint end = clock_.now();
    deliver(end);
    observer_.on_step(plan_.prefill_tokens, plan_.decode_rows, end - begin);
    pace_.note(plan_.prefill_tokens, plan_.decode_rows, end - begin);
  }
  forget_ended();
  update_gauges();
}

void GeneratorLane::failed(const std::string& what) {
  masks_.wait();  // they refer to the choices
  observer_.on_failure(what);
  for (const auto& request : requests_)
    // In a step, or taken out of the line by a plan that nobody was told about.
    if (!request->waiting || request->choices.front().state == Sequence::State::kOutside)
      end(*request, Error{Code::kInternal, "the model failed while it computed this answer"});
  forget_ended();
  // Blocks that others could still find were written by what has failed now.
  cache_.forget_all();
  update_gauges();
}

void GeneratorLane::abort(const Error& error) {
  take_arrivals();
  for (const auto& request : requests_) end(*request, error);
  forget_ended();
  update_gauges();
}

void GeneratorLane::take_arrivals() {
  if (inbox_->arrivals == 0) return;
  {
    const std::lock_guard lock(inbox_->mutex);
    arrived_.swap(inbox_->arrived);
    inbox_->arrivals = 0;
  }
  for (auto& request : arrived_) {
    const uint64_t arrival = arrivals_++;
    for (Choice& choice : request->choices)
      choice.order = arrival * kChoicesMax + static_cast<uint64_t>(choice.index);
    scheduler_.add(request->choices.front());
    requests_.push_back(std::move(request));
  }
  arrived_.clear();
}

void GeneratorLane::drop_cancelled() {
  if (inbox_->cancellations.exchange(0) == 0) return;
  for (const auto& request : requests_)
    if (request->gate.closed()) leave(*request);
  forget_ended();
}

void GeneratorLane::leave(Request& request) {
  for (Choice& choice : request.choices) scheduler_.remove(choice);
  waits_no_longer(request);
  request.ended.store(true, std::memory_order_release);
}

void GeneratorLane::waits_no_longer(Request& request) {
  if (std::exchange(request.waiting, false)) --inbox_->waiting;
}

void GeneratorLane::end(Request& request, Result<GenerateStats> result) {
  if (request.ended) return;
  leave(request);
  request.gate.call([&](TokenSink& sink) { sink.on_end(std::move(result)); });
}

void GeneratorLane::forget_ended() {
  std::erase_if(requests_, [](const auto& request) { return request->ended.load(); });
}

void GeneratorLane::report_plan(TimePoint now) {
  Duration oldest{};
  for (Sequence* sequence : plan_.expired) {
    oldest = std::max(oldest, now - sequence->submitted);
    end(*choice_of(*sequence).request,
        Error{Code::kOverloaded,
              concat("generator: not admitted within ", to_ms(options_.queue_wait_max), " ms")});
  }
  if (!plan_.expired.empty())
    observer_.on_line_expired(static_cast<int32_t>(plan_.expired.size()), inbox_->waiting, oldest);
  for (Sequence* sequence : plan_.preempted) {
    ++choice_of(*sequence).request->stats.preemptions;
    observer_.on_preemption();
  }
  for (Sequence* sequence : plan_.admitted) {
    Request& request = *choice_of(*sequence).request;
    waits_no_longer(request);
    request.admitted = now;
    request.stats.queue = now - sequence->submitted;
    request.stats.cached_tokens = sequence->cached;
    request.gate.call([&](TokenSink& sink) { sink.on_admitted(request.stats); });
    observer_.on_admission(scheduler_.running(), request.stats.queue);
  }
}

void GeneratorLane::build_batch() {
  ids_.clear();
  kv_rows_.clear();
  logit_rows_.clear();
  for (const StepPart& part : plan_.parts) {
    const auto row = static_cast<int32_t>(ids_.size());
    const auto first = part.sequence->tokens.begin() + part.past;
    ids_.insert(ids_.end(), first, first + part.tokens);
    kv_rows_.push_back({.blocks = part.sequence->blocks.data(),
                        .past = part.past,
                        .tokens = part.tokens,
                        .row = row});
    for (int32_t position = part.scored_begin; position < part.scored_end; ++position)
      logit_rows_.push_back(row + position - part.past);
    if (part.sample) logit_rows_.push_back(row + part.tokens - 1);
  }
}

void GeneratorLane::start_masks() {
  for (const StepPart& part : plan_.parts) {
    Choice& choice = choice_of(*part.sequence);
    if (!part.sample || !choice.request->call.grammar) continue;
    choice.mask.resize(static_cast<size_t>(vocab_ + 63) / 64);
    masks_.add(choice);
  }
  masks_.start();
}

void GeneratorLane::ask_sampler(Mat<float> logits) {
  rows_.clear();
  // Room first: the rows keep spans of it.
  size_t top_total = 0;
  for (const StepPart& part : plan_.parts) {
    const Request& request = *choice_of(*part.sequence).request;
    const auto asked = static_cast<size_t>(part.scored_end - part.scored_begin) +
                       (part.sample ? request.choices.size() : 0);
    top_total += asked * request.top_count;
  }
  top_.resize(top_total);
  std::span<TokenLogprob> top = top_;
  const auto ask = [&](SampleRow row, const Request& request) {
    row.top = top.first(request.top_count);
    top = top.subspan(request.top_count);
    rows_.push_back(row);
  };
  int64_t r = 0;
  for (const StepPart& part : plan_.parts) {
    Choice& choice = choice_of(*part.sequence);
    Request& request = *choice.request;
    for (int32_t position = part.scored_begin; position < part.scored_end; ++position)
      ask({.logits = logits.row(r++),
           .given = choice.tokens[static_cast<size_t>(position) + 1],
           .logprob_wanted = true},
          request);
    if (!part.sample) continue;
    const float* row = logits.row(r++);
    if (starts_all_choices(choice))
      for (const Choice& each : request.choices) ask(question(choice, each.index, row), request);
    else
      ask(question(choice, choice.index, row), request);
  }
}

// What choice `index` asks of its next token, if it stands where `choice` does.
SampleRow GeneratorLane::question(const Choice& choice, int32_t index, const float* logits) const {
  const GenerateRequest& call = choice.request->call;
  SampleRow row{.logits = logits,
                .sampling = &call.sampling,
                .seed = call.sampling.seed + static_cast<uint64_t>(index),
                .position = choice.generated,
                .counts = choice.request->penalties ? &choice.counts : nullptr,
                .allowed = call.grammar ? choice.mask.data() : nullptr,
                .logprob_wanted = call.logprobs >= 0};
  const bool too_early = choice.generated < call.tokens_min;
  // An end that is to be ignored is no text, so no grammar goes on behind it.
  if (call.ignore_eos ? call.grammar != nullptr : too_early) row.banned_first = call.eos_ids;
  if (too_early) row.banned_second = call.stop_ids;
  return row;
}

void GeneratorLane::deliver(TimePoint now) {
  int32_t for_nobody = 0;
  std::span<const SampleRow> rows = rows_;
  const auto take_rows = [&](size_t count) {
    const auto taken = rows.first(count);
    rows = rows.subspan(count);
    return taken;
  };
  for (const StepPart& part : plan_.parts) {
    Choice& choice = choice_of(*part.sequence);
    Request& request = *choice.request;
    const auto scores = take_rows(static_cast<size_t>(part.scored_end - part.scored_begin));
    const auto tokens = take_rows(!part.sample                 ? 0
                                  : starts_all_choices(choice) ? request.choices.size()
                                                               : 1);
    if (request.gate.closed()) {
      for_nobody += part.tokens;
      leave(request);
    }
    if (request.ended) continue;
    if (choice.mask_fault) {
      observer_.on_failure(*choice.mask_fault);
      end(request, Error{Code::kInternal, "the grammar failed while it was followed"});
      continue;
    }
    const auto infinite = [](const SampleRow& row) {
      return row.status == SampleStatus::kNotFinite;
    };
    if (std::ranges::any_of(scores, infinite) || std::ranges::any_of(tokens, infinite)) {
      end(request, Error{Code::kInternal, concat("generator: logits behind token ",
                                                 part.past + part.tokens, " are not finite")});
      continue;
    }
    for (const SampleRow& row : scores) {
      request.prompt_logprobs.push_back({row.token, row.logprob});
      request.prompt_top.insert(request.prompt_top.end(), row.top.begin(), row.top.end());
    }
    if (choice.computed >= choice.prompt_tokens) report_prompt(request);
    if (!choice.sampled && choice.computed == choice.prompt_tokens)
      for (Choice& each : request.choices) finish(each, Finish::kLength);
    if (part.sample) deliver_tokens(choice, tokens, now);
  }
  if (for_nobody > 0) observer_.on_tokens_after_cancel(for_nobody);
}

void GeneratorLane::report_prompt(Request& request) {
  if (!request.call.prompt_logprobs || std::exchange(request.prompt_reported, true)) return;
  std::vector<TokenEvent> events;
  for (size_t i = 0; i < request.prompt_logprobs.size(); ++i)
    events.push_back(
        {.id = request.prompt_logprobs[i].id,
         .logprob = request.prompt_logprobs[i].logprob,
         .top = std::span(request.prompt_top).subspan(i * request.top_count, request.top_count)});
  request.gate.call([&](TokenSink& sink) { sink.on_prompt_logprobs(events); });
  request.prompt_logprobs = {};
  request.prompt_top = {};
}

void GeneratorLane::deliver_tokens(Choice& choice, std::span<const SampleRow> rows, TimePoint now) {
  Request& request = *choice.request;
  if (!std::exchange(request.first_token_seen, true))
    request.stats.prefill = now - request.admitted;
  // The others branch off before the first one moves on.
  for (size_t k = 1; k < rows.size(); ++k) {
    Choice& other = request.choices[k];
    other.tokens.reserve(choice.tokens.capacity());
    other.tokens = choice.tokens;
    other.counts = choice.counts;
    other.scored = choice.scored;
    if (choice.matcher) other.matcher = choice.matcher->clone();
  }
  const auto last = deliver_token(choice, rows.front());
  for (size_t k = 1; k < rows.size() && !request.ended; ++k) {
    Choice& other = request.choices[k];
    if (const auto ended = deliver_token(other, rows[k]))
      finish(other, *ended);
    else if (!request.ended)
      scheduler_.fork(choice, other);
  }
  if (last) finish(choice, *last);
}

namespace {

std::string nothing_follows(const Choice& choice) {
  const std::string token = concat("token ", choice.generated, " of the answer");
  if (choice.matcher && choice.matcher->exhausted())
    return concat("the grammar is too costly to follow beyond ", token, "; want a simpler one");
  return concat("no token may follow ", token,
                choice.matcher ? ", which the grammar does not let end there: it is too ambiguous"
                                 " there, or"
                               : ":",
                " stop_token_ids, min_tokens and logit_bias leave none");
}

}  // namespace

std::optional<Finish> GeneratorLane::deliver_token(Choice& choice, const SampleRow& row) {
  Request& request = *choice.request;
  if (row.status == SampleStatus::kNothingAllowed) {
    // The end of the text, unless the grammar wants more and no token of the model leads on.
    if (choice.matcher && choice.matcher->complete()) return Finish::kGrammar;
    end(request, Error{Code::kInvalidArgument, nothing_follows(choice)});
    return std::nullopt;
  }
  choice.tokens.push_back(row.token);
  ++choice.generated;
  if (request.penalties) choice.counts.add_generated(row.token);
  bool more = true;
  request.gate.call([&](TokenSink& sink) {
    more = sink.on_token(choice.index, {.id = row.token, .logprob = row.logprob, .top = row.top});
  });
  if (!request.call.ignore_eos && contains(request.call.eos_ids, row.token)) return Finish::kEos;
  if (contains(request.call.stop_ids, row.token)) return Finish::kStopId;
  if (!more) return Finish::kSink;
  if (choice.matcher) {
    if (!choice.matcher->accept(row.token)) {
      end(request, Error{Code::kInternal, concat("generator: the grammar refuses token ", row.token,
                                                 ", which its mask allowed")});
      return std::nullopt;
    }
    if (choice.matcher->finished()) return Finish::kGrammar;
  }
  if (choice.generated >= request.tokens_max) return Finish::kLength;
  return std::nullopt;
}

void GeneratorLane::finish(Choice& choice, Finish finish) {
  Request& request = *choice.request;
  if (request.ended) return;
  scheduler_.remove(choice);
  request.gate.call([&](TokenSink& sink) { sink.on_finish(choice.index, finish); });
  if (--request.choices_left == 0) end(request, request.stats);
}

void GeneratorLane::update_gauges() {
  preempted_ = scheduler_.waiting() - scheduler_.waiting_fresh();
  running_ = scheduler_.running();
  cached_ = cache_.blocks_cached();
  used_ = pool_.blocks() - pool_.blocks_free() - cache_.blocks_cached();
}

}  // namespace sis::engine
