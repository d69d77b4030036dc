#include "serve/api/openai/stream.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>

#include "base/rng.h"
#include "base/strings.h"
#include "serve/api/client.h"
#include "serve/api/json_text.h"
#include "serve/api/openai/chat_text.h"
#include "serve/api/request_timeout.h"

namespace sis::api {

using tasks::Delta;
using tasks::FinishReason;
using tasks::TokenLogprobs;
using tasks::Usage;
using telemetry::Field;
using telemetry::Stage;

std::string make_id(const char* prefix) {
  thread_local Rng rng([] {
    std::random_device device;
    return static_cast<uint64_t>(device()) << 32 | device();
  }());
  return fmt::format("{}{:016x}{:016x}", prefix, rng.next(), rng.next());
}

void append_usage(std::string& out, const Usage& usage) {
  out += R"({"prompt_tokens":)";
  append_int(out, usage.prompt_tokens);
  out += R"(,"completion_tokens":)";
  append_int(out, usage.completion_tokens);
  out += R"(,"total_tokens":)";
  append_int(out, int64_t{usage.prompt_tokens} + usage.completion_tokens);
  out += R"(,"prompt_tokens_details":{"cached_tokens":)";
  append_int(out, usage.cached_tokens);
  out += R"(,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":)";
  append_int(out, usage.reasoning_tokens);
  out += R"(,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}})";
}

std::string token_text(const std::string& bytes) {
  if (is_utf8(bytes)) return bytes;
  std::string text = "bytes:";
  for (const unsigned char byte : bytes) {
    if (byte >= ' ' && byte < 0x7F)
      text += static_cast<char>(byte);
    else
      text += fmt::format("\\x{:02x}", byte);
  }
  return text;
}

float printable_logprob(float logprob) { return logprob >= -9999.0f ? logprob : -9999.0f; }

void AnswerPrinter::error(std::string& out, const Error& error) {
  out += "data: ";
  out += error_response(error).body;
  out += "\n\n";
}

void AnswerPrinter::done(std::string& out) { out += "data: [DONE]\n\n"; }

// Hands what one call hears to the request, its choices numbered over all prompts.
class Generation::Sink final : public tasks::GenerateStream {
 public:
  Sink(std::shared_ptr<Generation> generation, size_t prompt, int32_t choices)
      : generation_(std::move(generation)),
        prompt_(prompt),
        first_choice_(static_cast<int32_t>(prompt) * choices) {}

  void on_prompt_tokens(int32_t tokens) override { generation_->on_prompt_tokens(prompt_, tokens); }
  void on_start(int32_t tokens) override { generation_->on_start(tokens); }
  void on_prompt(std::vector<TokenLogprobs> tokens) override {
    generation_->on_prompt(prompt_, std::move(tokens));
  }
  void on_delta(int32_t choice, Delta delta) override {
    generation_->on_delta(first_choice_ + choice, std::move(delta));
  }
  void on_finish(int32_t choice, FinishReason reason) override {
    generation_->on_finish(first_choice_ + choice, reason);
  }
  void on_end(Result<Usage> usage) override { generation_->on_end(std::move(usage)); }

 private:
  const std::shared_ptr<Generation> generation_;
  const size_t prompt_;
  const int32_t first_choice_;
};

std::optional<CacheUse> certain_answer(cache::ResponseCache& cache, const net::HttpRequest& http,
                                       const GenerationModel& model, const GenerationPlan& plan,
                                       const AnswerKey& key) {
  const tasks::GenerateCall& call = plan.calls.front();
  const tasks::GenerateDefaults& defaults = model.service->defaults();
  if (plan.stream || plan.calls.size() != 1 || call.choices != 1 ||
      call.temperature.value_or(defaults.temperature) != 0)
    return {};
  const std::string open_fields =
      concat(defaults.top_p, " ", defaults.min_p, " ", defaults.repetition_penalty, " ",
             defaults.top_k, " ", defaults.temperature, " ", defaults.tokens_max, " ",
             defaults.tokens_ceiling, " ", defaults.prompt_tokens_max);
  auto made = cache.key({.route = http.path,
                         .model = model.service->model().name,
                         .fingerprint = model.fingerprint,
                         .defaults = open_fields,
                         .prompt = key.prompt,
                         .params = key.params,
                         .params_skip = key.params_skip,
                         .salt = http.header("Authorization")});
  if (!made.ok()) return {};
  return CacheUse{
      .cache = &cache, .key = *made, .wait = defaults.prepare_timeout + defaults.generate_timeout};
}

Generation::Generation(std::shared_ptr<net::Exchange> exchange, const GenerationPlace& place,
                       RequestObserver& unknown)
    : exchange_(std::move(exchange)),
      trace_(RequestTrace::of(exchange_)),
      place_(place),
      request_observer_(&unknown),
      last_write_(exchange_->request().received_at) {
  trace_->set_model(kUnknown);
  trace_->attribute("gen_ai.operation.name", place_.operation);
}

void Generation::found_model(const std::string& name, RequestObserver& observer) {
  trace_->set_model(name);
  request_observer_ = &observer;
}

void Generation::refuse(const Error& error) {
  const bool full = error.code == Code::kOverloaded && error.retry_after <= Duration::zero();
  refuse(place_.refusal(error, full ? place_.gate.retry_after() : Duration::zero()));
}

void Generation::refuse(net::HttpResponse response) {
  account(response.status);
  exchange_->respond(std::move(response));
}

void Generation::run(const GenerationModel& model, GenerationPlan plan) {
  const auto deadline = request_deadline(request(), plan.timeout);
  if (!deadline.ok()) return refuse(deadline.error());
  deadline_ = *deadline;
  const TimePoint parsed = place_.clock.now();
  trace_->mark(Stage::kParse, parsed);
  printer_ = std::move(plan.printer);
  stream_ = plan.stream;
  include_usage_ = plan.include_usage;
  generator_ = model;
  observer_ = model.observer;
  calls_ = std::move(plan.calls);
  const tasks::GenerateCall& first = calls_.front();
  tokens_max_ = first.tokens_max.value_or(model.service->defaults().tokens_max);
  const size_t choices = calls_.size() * static_cast<size_t>(first.choices);
  for (auto& call : calls_) call.deadline = deadline_;
  {
    const std::lock_guard lock(mutex_);
    choices_.resize(choices);
    prompt_tokens_.resize(calls_.size());
    calls_open_ = calls_.size();
    submitted_ = parsed;
  }
  exchange_->on_cancel([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->leave();
  });
  if (!plan.cache) return enter_gate();
  auto ticket =
      plan.cache->cache->lookup(plan.cache->key, plan.cache->wait,
                                [self = shared_from_this()](cache::ResponseCache::Outcome outcome) {
                                  self->on_looked_up(std::move(outcome));
                                });
  const std::lock_guard lock(mutex_);
  if (!over_) lookup_ = std::move(ticket);
}

// An answer that is kept needs no place.
void Generation::on_looked_up(cache::ResponseCache::Outcome outcome) {
  cache_word_ = outcome.word();
  if (outcome.lead) {
    {
      const std::lock_guard lock(mutex_);
      if (over_) return;  // the next in line leads
      lead_ = std::move(outcome.lead);
    }
    return enter_gate();
  }
  place_.prep.post_always(
      [self = shared_from_this(), kept = std::move(outcome.bytes)] { self->write_kept(kept); });
}

void Generation::enter_gate() {
  if (generator_.breaker) {
    auto pass = generator_.breaker->enter();
    if (!pass.ok()) return turn_down(pass.error());
    const std::lock_guard lock(mutex_);
    if (over_) return;  // the client has left meanwhile: the pass says nothing
    pass_ = std::move(*pass);
  }
  const tasks::GenerateDefaults& defaults = generator_.service->defaults();
  auto wait = place_.gate.enter(
      {.lane = generator_.lane,
       .size = {.bytes = static_cast<int64_t>(request().body.size()),
                .answer_tokens_max =
                    static_cast<int32_t>(std::min<int64_t>(tokens_max_, defaults.tokens_ceiling)),
                .sequences = static_cast<int32_t>(choices_.size())},
       .deadline = std::min(deadline_, place_.clock.now() + defaults.generate_timeout),
       .start_max = generator_.line_max,
       .priority = client_priority(request())},
      [self = shared_from_this()](Result<admission::Place> place) {
        self->submit(std::move(place));
      });
  const std::lock_guard lock(mutex_);
  if (!over_) std::swap(wait_, wait);
  // Else the wait goes with its scope, after the lock.
}

// At once, unless a stream has begun with a comment: then the error is an event of it.
void Generation::turn_down(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    if (pinged_) {
      error_ = error;
      return schedule(lock);
    }
    over_ = true;  // no comment begins a stream any more
  }
  refuse(error);
  end(0);
}

void Generation::submit(Result<admission::Place> place) {
  if (!place.ok()) return turn_down(place.error());
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    waited_ = place->waited();
    held_ = std::move(*place);
  }
  auto calls = std::exchange(calls_, {});
  const int32_t choices = calls.front().choices;
  for (size_t i = 0; i < calls.size(); ++i) {
    {
      const std::lock_guard lock(mutex_);
      if (over_ || error_) return;
    }
    auto ticket = generator_.service->submit(
        std::move(calls[i]), std::make_shared<Sink>(shared_from_this(), i, choices));
    // An end that came meanwhile has found no ticket to give back: it goes out of scope here.
    const std::lock_guard lock(mutex_);
    if (!over_) tickets_.push_back(std::move(ticket));
  }
}

void Generation::on_prompt_tokens(size_t prompt, int32_t tokens) {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  prompt_tokens_[prompt] = tokens;
  held_.correct(std::accumulate(prompt_tokens_.begin(), prompt_tokens_.end(), int64_t{0}));
}

void Generation::on_start(int32_t prompt_tokens) {
  const TimePoint now = place_.clock.now();
  const std::lock_guard lock(mutex_);
  if (over_) return;
  prompts_begun_ += prompt_tokens;
  if (!started_) started_ = now;
  held_.start();
  if (!stream_) return;
  start_ = true;
  schedule(lock);
}

void Generation::on_prompt(size_t prompt, std::vector<TokenLogprobs> tokens) {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  events_.push_back({.kind = Event::Kind::kPrompt,
                     .choice = static_cast<int32_t>(prompt),
                     .delta = {},
                     .prompt = std::move(tokens)});
  if (stream_) schedule(lock);
}

void Generation::on_delta(int32_t choice, Delta delta) {
  const TimePoint now = place_.clock.now();
  const std::lock_guard lock(mutex_);
  if (over_) return;
  // A piece is a token, or more where text was held back and logprobs tell.
  pieces_ += std::max<int64_t>(1, static_cast<int64_t>(delta.logprobs.size()));
  ChoiceState& state = choices_[static_cast<size_t>(choice)];
  if (!first_token_) {
    first_token_ = now;
    observer_->on_first_token(now - exchange_->request().received_at);
  }
  if (state.last_piece) observer_->on_token_gap(now - *state.last_piece);
  state.last_piece = now;
  if (stream_) {
    events_.push_back(
        {.kind = Event::Kind::kDelta, .choice = choice, .delta = std::move(delta), .prompt = {}});
    return schedule(lock);
  }
  GatheredChoice& gathered = state.gathered;
  gathered.content += delta.content;
  gathered.reasoning += delta.reasoning;
  std::move(delta.logprobs.begin(), delta.logprobs.end(), std::back_inserter(gathered.logprobs));
  for (auto& call : delta.tool_calls) {
    const auto index = static_cast<size_t>(call.index);
    if (gathered.tool_calls.size() <= index) gathered.tool_calls.resize(index + 1);
    auto& whole = gathered.tool_calls[index];
    whole.index = call.index;
    whole.id += call.id;
    whole.name += call.name;
    whole.arguments += call.arguments;
  }
}

void Generation::on_finish(int32_t choice, FinishReason reason) {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  choices_[static_cast<size_t>(choice)].gathered.reason = reason;
  if (!stream_) return;
  events_.push_back({.kind = Event::Kind::kFinish,
                     .choice = choice,
                     .delta = {},
                     .prompt = {},
                     .reason = reason});
  schedule(lock);
}

void Generation::on_end(Result<Usage> usage) {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  if (usage.ok()) {
    usage_.prompt_tokens += usage->prompt_tokens;
    usage_.cached_tokens += usage->cached_tokens;
    usage_.completion_tokens += usage->completion_tokens;
    usage_.reasoning_tokens += usage->reasoning_tokens;
    usage_.queue = std::max(usage_.queue, usage->queue);
    usage_.prepare = std::max(usage_.prepare, usage->prepare);
    usage_.prefill = std::max(usage_.prefill, usage->prefill);
    usage_.decode = std::max(usage_.decode, usage->decode);
  } else if (!error_) {
    error_ = std::move(usage).error();
    if (error_->code == Code::kOverloaded) observer_->on_line_refusal();
  }
  --calls_open_;
  if (calls_open_ == 0 && !error_) held_.answered(usage_.completion_tokens);
  if (error_ || calls_open_ == 0) schedule(lock);
}

void Generation::schedule(const std::lock_guard<std::mutex>&) {
  if (std::exchange(scheduled_, true)) return;
  TaskPool& pool = stream_ ? place_.writers : place_.prep;
  pool.post_always(
      [self = shared_from_this()] { self->stream_ ? self->write_events() : self->write_whole(); });
}

void Generation::write_events() {
  std::vector<Event> events;
  std::string out;
  for (;;) {
    events.clear();
    out.clear();
    bool ping = false, start = false, done = false;
    std::optional<TimePoint> started;
    std::optional<Error> error;
    Usage usage;
    {
      const std::lock_guard lock(mutex_);
      if (over_) return;
      events.swap(events_);
      ping = std::exchange(ping_, false);
      start = std::exchange(start_, false);
      error = error_;
      done = error_ || calls_open_ == 0;
      usage = usage_;
      started = started_;
      if (events.empty() && !ping && !start && !done) {
        scheduled_ = false;
        return;
      }
      last_write_ = place_.clock.now();
    }
    if (error && !head_sent_) {
      printer_.reset();  // whoever asks again after this answer finds nothing of this request
      refuse(*error);
      return end(0);
    }
    if (!head_sent_) {
      head_sent_ = true;
      if (started) trace_->mark(Stage::kQueue, *started);  // preparing included
      net::HttpResponse head{.content_type = "text/event-stream", .compressible = false};
      head.headers.emplace_back("Cache-Control", "no-cache");
      head.headers.emplace_back("X-Accel-Buffering", "no");
      exchange_->start_stream(std::move(head));
    }
    for (Event& event : events) switch (event.kind) {
        case Event::Kind::kPrompt:
          printer_->prompt(static_cast<size_t>(event.choice), std::move(event.prompt));
          break;
        case Event::Kind::kDelta:
          printer_->delta(out, event.choice, event.delta);
          break;
        case Event::Kind::kFinish:
          printer_->finish(out, event.choice, event.reason);
          break;
      }
    if (ping && out.empty()) out += ": ping\n\n";
    if (error) {
      printer_->error(out, *error);
    } else if (done) {
      if (include_usage_) printer_->usage(out, usage);
      printer_->done(out);
    }
    if (!exchange_->write(out)) return leave();
    if (!done) continue;
    if (error)
      charge_so_far();
    else
      tell_usage(usage);
    end(error ? http_status(error->code) : 200);
    return exchange_->finish_stream();
  }
}

void Generation::write_whole() {
  std::vector<GatheredChoice> choices;
  std::vector<Event> prompts;
  std::optional<Error> error;
  Usage usage;
  cache::ResponseCache::Lead lead;
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    error = error_;
    usage = usage_;
    lead = std::move(lead_);
    prompts.swap(events_);
    choices.reserve(choices_.size());
    if (!error)
      for (auto& choice : choices_) choices.push_back(std::move(choice.gathered));
  }
  if (error) {
    lead.fail(*error);
    printer_.reset();  // whoever asks again after this answer finds nothing of this request
    refuse(*error);
    return end(0);
  }
  for (Event& event : prompts)
    printer_->prompt(static_cast<size_t>(event.choice), std::move(event.prompt));
  const TimePoint begin = place_.clock.now();
  net::HttpResponse response{.body = printer_->whole(choices, usage)};
  trace_->place(Stage::kWrite, begin, place_.clock.now() - begin);
  if (lead) {
    response.headers.emplace_back("X-Cache", cache_word_);
    lead.publish(printer_->kept(response.body));  // first, so that the client's next request hits
  }
  tell_usage(usage);
  end(200);
  exchange_->respond(std::move(response));
}

void Generation::write_kept(const Result<cache::SharedBytes>& kept) {
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
  }
  if (!kept.ok()) {
    refuse(kept.error());
    return end(0);
  }
  net::HttpResponse response{.body = printer_->again(**kept)};
  response.headers.emplace_back("X-Cache", cache_word_);
  end(200);
  exchange_->respond(std::move(response));
}

void Generation::tell_usage(const Usage& usage) {
  observer_->on_usage(usage);
  charge_client(exchange_->request(), int64_t{usage.prompt_tokens} + usage.completion_tokens);
}

// Gives everything back, outside the lock: that waits for a callback in progress, which may want
// it, and lets the next one in.
void Generation::end(int status) {
  Tickets tickets;
  std::unique_ptr<cache::ResponseCache::Ticket> lookup;
  cache::ResponseCache::Lead lead;
  std::unique_ptr<admission::Gate::Wait> wait;
  admission::Place held;
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    tickets.swap(tickets_);
    lookup = std::move(lookup_);
    lead = std::move(lead_);
    wait.swap(wait_);
    held = std::move(held_);
    events_.clear();
  }
  tickets.clear();
  wait.reset();
  held.release();
  if (status != 0) account(status);
}

void Generation::leave() {
  charge_so_far();
  end(499);
}

// For an answer without an end: else leaving just before it would make it free.
void Generation::charge_so_far() {
  int64_t tokens = 0;
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    tokens = std::max(prompts_begun_ + pieces_,
                      int64_t{usage_.prompt_tokens} + usage_.completion_tokens);
  }
  if (tokens > 0) charge_client_so_far(exchange_->request(), tokens);
}

bool Generation::keep_alive() {
  const std::lock_guard lock(mutex_);
  if (over_) return false;
  if (submitted_ == TimePoint{}) return true;  // run() has yet to set it up
  if (place_.clock.now() - last_write_ < place_.options.keep_alive) return true;
  ping_ = pinged_ = true;
  schedule(lock);
  return true;
}

// Where the time went: as the service measured it, or as far as the request came.
void Generation::place_stages(const Usage& usage, TimePoint now) {
  if (submitted_ == TimePoint{}) return;  // refused before
  TimePoint at = submitted_;
  if (usage.prompt_tokens > 0) {
    const std::pair<Stage, Duration> parts[] = {{Stage::kPrepare, usage.prepare},
                                                {Stage::kQueue, waited_ + usage.queue},
                                                {Stage::kPrefill, usage.prefill}};
    for (const auto& [stage, spent] : parts) {
      trace_->place(stage, at, spent);
      at += spent;
    }
    trace_->place(Stage::kDecode, at, usage.decode);
    return;
  }
  const TimePoint started = started_.value_or(now), decoding = first_token_.value_or(now);
  trace_->place(Stage::kQueue, at, started - at);
  if (started_) trace_->place(Stage::kPrefill, started, decoding - started);
  if (first_token_) trace_->place(Stage::kDecode, decoding, now - decoding);
}

// The first caller decides the status that is counted and logged.
void Generation::account(int status) {
  if (accounted_.exchange(true)) return;
  const TimePoint now = place_.clock.now();
  const TimePoint arrived = exchange_->request().received_at;
  Usage usage;
  Duration waited{};
  double first_token_ms = 0;
  size_t choices = 0;
  std::vector<std::string> reasons;
  const char* cache_word = cache_word_;
  admission::Breaker::Pass pass;
  {
    const std::lock_guard lock(mutex_);
    pass = std::move(pass_);
    usage = usage_;
    waited = waited_;
    choices = choices_.size();
    if (first_token_) first_token_ms = to_ms(*first_token_ - arrived);
    if (status == 200 && trace_->recording())
      for (const auto& choice : choices_) reasons.push_back(finish_word(choice.gathered.reason));
    place_stages(usage, now);
  }
  pass.end_with_status(status);
  request_observer_->on_request(status, now - arrived, waited + usage.queue);
  if (choices > 0 && trace_->recording()) {
    trace_->attribute("gen_ai.request.max_tokens", tokens_max_);
    trace_->attribute("gen_ai.request.choice.count", static_cast<int64_t>(choices));
    trace_->attribute("gen_ai.usage.input_tokens", int64_t{usage.prompt_tokens});
    trace_->attribute("gen_ai.usage.output_tokens", int64_t{usage.completion_tokens});
    if (!reasons.empty()) trace_->attribute("gen_ai.response.finish_reasons", std::move(reasons));
    trace_->attribute("sis.stream", stream_);
  }
  trace_->end(status, now, place_.log, place_.event,
              {{"first_token_ms", first_token_ms},
               {"stream", stream_},
               {"choices", choices},
               cache_word ? Field("cache", cache_word) : Field("cache", nullptr),
               {"max_tokens", tokens_max_},
               {"prompt_tokens", usage.prompt_tokens},
               {"cached_tokens", usage.cached_tokens},
               {"completion_tokens", usage.completion_tokens}});
}

}  // namespace sis::api
