#include "serve/api/openai/stream.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "base/rng.h"
#include "base/strings.h"
#include "serve/api/errors.h"
#include "serve/api/json_text.h"

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

// Hands what one call hears to the request, its choices numbered over all prompts.
class Generation::Sink final : public tasks::GenerateStream {
 public:
  Sink(std::shared_ptr<Generation> generation, size_t prompt, int32_t choices)
      : generation_(std::move(generation)),
        prompt_(prompt),
        first_choice_(static_cast<int32_t>(prompt) * choices) {}

  void on_start(int32_t) override { generation_->on_start(); }
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

Generation::Generation(std::shared_ptr<net::Exchange> exchange, const GenerationPlace& place,
                       RequestObserver& unknown)
    : exchange_(std::move(exchange)),
      place_(place),
      model_("unknown"),
      request_observer_(&unknown),
      timer_(exchange_->request().received_at),
      last_write_(exchange_->request().received_at) {}

void Generation::found_model(const std::string& name, RequestObserver& observer) {
  model_ = name;
  request_observer_ = &observer;
}

void Generation::refuse(const Error& error) {
  refuse(error_response(error, place_.options.retry_after));
}

void Generation::refuse(net::HttpResponse response) {
  account(response.status);
  exchange_->respond(std::move(response));
}

void Generation::run(tasks::GenerateService& service, GenerateObserver& observer,
                     GenerationPlan plan) {
  timer_.mark(Stage::kParse, place_.clock.now());
  printer_ = std::move(plan.printer);
  stream_ = plan.stream;
  include_usage_ = plan.include_usage;
  observer_ = &observer;
  tokens_max_ = plan.calls.front().tokens_max.value_or(service.defaults().tokens_max);
  choices_per_call_ = plan.calls.front().choices;
  {
    const std::lock_guard lock(mutex_);
    choices_.resize(plan.calls.size() * static_cast<size_t>(choices_per_call_));
    calls_open_ = plan.calls.size();
  }
  exchange_->on_cancel([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->leave();
  });
  if (!plan.cache) return submit(service, std::move(plan.calls));
  auto ticket = plan.cache->cache->lookup(
      plan.cache->key, plan.cache->wait,
      [self = shared_from_this(), &service,
       calls = std::make_shared<std::vector<tasks::GenerateCall>>(std::move(plan.calls))](
          cache::ResponseCache::Outcome outcome) {
        self->on_looked_up(service, std::move(*calls), std::move(outcome));
      });
  const std::lock_guard lock(mutex_);
  if (!over_) lookup_ = std::move(ticket);
}

void Generation::on_looked_up(tasks::GenerateService& service,
                              std::vector<tasks::GenerateCall> calls,
                              cache::ResponseCache::Outcome outcome) {
  cache_word_ = outcome.word();
  if (outcome.lead) {
    {
      const std::lock_guard lock(mutex_);
      if (over_) return;  // the next in line leads
      lead_ = std::move(outcome.lead);
    }
    return submit(service, std::move(calls));
  }
  place_.prep.post_always(
      [self = shared_from_this(), kept = std::move(outcome.bytes)] { self->write_kept(kept); });
}

void Generation::submit(tasks::GenerateService& service, std::vector<tasks::GenerateCall> calls) {
  for (size_t i = 0; i < calls.size(); ++i) {
    {
      const std::lock_guard lock(mutex_);
      if (over_ || error_) return;
    }
    auto ticket = service.submit(std::move(calls[i]),
                                 std::make_shared<Sink>(shared_from_this(), i, choices_per_call_));
    // An end that came meanwhile has found no ticket to give back: it goes out of scope here.
    const std::lock_guard lock(mutex_);
    if (!over_) tickets_.push_back(std::move(ticket));
  }
}

void Generation::on_start() {
  const std::lock_guard lock(mutex_);
  if (!stream_ || over_) return;
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
  ChoiceState& state = choices_[static_cast<size_t>(choice)];
  if (!first_token_) {
    first_token_ = now - exchange_->request().received_at;
    observer_->on_first_token(*first_token_);
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
  }
  --calls_open_;
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
      if (events.empty() && !ping && !start && !done) {
        scheduled_ = false;
        return;
      }
      last_write_ = place_.clock.now();
    }
    if (error && !head_sent_) {
      refuse(*error);
      return end(0);
    }
    if (!head_sent_) {
      head_sent_ = true;
      net::HttpResponse head{.content_type = "text/event-stream", .compressible = false};
      head.headers.emplace_back("Cache-Control", "no-cache");
      head.headers.emplace_back("X-Accel-Buffering", "no");
      head.headers.emplace_back("Server-Timing", timer_.server_timing(place_.clock.now()));
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
      out += "data: ";
      out += error_response(*error).body;
      out += "\n\n";
    } else if (done) {
      if (include_usage_) printer_->usage(out, usage);
      out += "data: [DONE]\n\n";
    }
    if (!exchange_->write(out)) return leave();
    if (!done) continue;
    if (!error) observer_->on_usage(usage);
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
    refuse(*error);
    return end(0);
  }
  for (Event& event : prompts)
    printer_->prompt(static_cast<size_t>(event.choice), std::move(event.prompt));
  const TimePoint begin = place_.clock.now();
  net::HttpResponse response{.body = printer_->whole(choices, usage)};
  const TimePoint now = place_.clock.now();
  timer_.add(Stage::kQueue, usage.queue);
  timer_.add(Stage::kPrepare, usage.prepare);
  timer_.add(Stage::kPrefill, usage.prefill);
  timer_.add(Stage::kDecode, usage.decode);
  timer_.add(Stage::kWrite, now - begin);
  response.headers.emplace_back("Server-Timing", timer_.server_timing(now));
  if (lead) {
    response.headers.emplace_back("X-Cache", cache_word_);
    lead.publish(printer_->kept(response.body));  // first, so that the client's next request hits
  }
  observer_->on_usage(usage);
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
  response.headers.emplace_back("Server-Timing", timer_.server_timing(place_.clock.now()));
  response.headers.emplace_back("X-Cache", cache_word_);
  end(200);
  exchange_->respond(std::move(response));
}

// Gives the tickets back, outside the lock: that waits for a callback in progress, which may want
// it.
void Generation::end(int status) {
  Tickets tickets;
  std::unique_ptr<cache::ResponseCache::Ticket> lookup;
  cache::ResponseCache::Lead lead;
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    tickets.swap(tickets_);
    lookup = std::move(lookup_);
    lead = std::move(lead_);
    events_.clear();
  }
  tickets.clear();
  if (status != 0) account(status);
}

void Generation::leave() { end(499); }

bool Generation::keep_alive() {
  const std::lock_guard lock(mutex_);
  if (over_) return false;
  if (place_.clock.now() - last_write_ < place_.options.keep_alive) return true;
  ping_ = true;
  schedule(lock);
  return true;
}

// The first caller decides the status that is counted and logged.
void Generation::account(int status) {
  if (accounted_.exchange(true)) return;
  const Duration latency = place_.clock.now() - exchange_->request().received_at;
  Usage usage;
  double first_token_ms = 0;
  size_t choices = 0;
  const char* cache_word = cache_word_;
  {
    const std::lock_guard lock(mutex_);
    usage = usage_;
    choices = choices_.size();
    if (first_token_) first_token_ms = to_ms(*first_token_);
  }
  request_observer_->on_request(status, latency, usage.queue);
  place_.log.log(status >= 500 ? telemetry::Level::kWarning : telemetry::Level::kInfo, place_.event,
                 exchange_->request().request_id,
                 {{"model", model_},
                  {"status", status},
                  {"latency_ms", to_ms(latency)},
                  {"first_token_ms", first_token_ms},
                  {"queue_ms", to_ms(usage.queue)},
                  {"prefill_ms", to_ms(usage.prefill)},
                  {"decode_ms", to_ms(usage.decode)},
                  {"stream", stream_},
                  {"choices", choices},
                  cache_word ? Field("cache", cache_word) : Field("cache", nullptr),
                  {"max_tokens", tokens_max_},
                  {"prompt_tokens", usage.prompt_tokens},
                  {"cached_tokens", usage.cached_tokens},
                  {"completion_tokens", usage.completion_tokens}});
}

}  // namespace sis::api
