#include "serve/api/embed_job.h"

#include <algorithm>

#include "serve/api/client.h"
#include "serve/api/request_timeout.h"

namespace sis::api {
namespace {

using telemetry::Stage;

// Writing and compressing one of more numbers takes longer than a connection's thread should.
constexpr size_t kInlineNumbersMax = 2048;

TimePoint now() { return std::chrono::steady_clock::now(); }

bool is_large(const tasks::EmbedAnswer& answer) {
  size_t numbers = 0;
  for (const auto& item : answer.items) numbers += item->vector.size();
  return numbers > kInlineNumbersMax;
}

}  // namespace

EmbedJob::EmbedJob(std::shared_ptr<net::Exchange> exchange, admission::Gate& gate, TaskPool& prep,
                   const telemetry::Logger& log, const char* event, RequestObserver& unknown)
    : exchange_(std::move(exchange)),
      gate_(gate),
      prep_(prep),
      log_(log),
      event_(event),
      trace_(RequestTrace::of(exchange_)),
      observer_(&unknown) {
  trace_->set_model(kUnknown);
  trace_->attribute("gen_ai.operation.name", "embeddings");
}

Status EmbedJob::found_model(const std::string& name, RequestObserver& observer) {
  observer_ = &observer;
  trace_->set_model(name);
  return check_client_model(http(), name);
}

// The first caller decides the status that is counted and logged. A disconnect calls it beside the
// answering thread, so nothing here reads what that one writes.
void EmbedJob::account(int status, Duration queue, int32_t cache_hits) {
  if (accounted_.exchange(true)) return;
  const TimePoint end = now();
  if (status != 200 || computed_) pass_.end_with_status(status);
  pass_ = {};
  observer_->on_request(status, end - http().received_at, queue);
  trace_->end(status, end, log_, event_, {{"batch_size", texts_}, {"cache_hits", cache_hits}});
}

void EmbedJob::fail(const Error& error) {
  trace_->mark(Stage::kQueue, now());  // what was submitted has waited until now
  refuse(error);
}

void EmbedJob::refuse(const Error& error) {
  const bool full = error.code == Code::kOverloaded && error.retry_after <= Duration::zero();
  refuse(this->error(error, full ? gate_.retry_after() : Duration::zero()));
}

void EmbedJob::refuse(net::HttpResponse response) {
  account(response.status);
  exchange_->respond(std::move(response));
  let_go();
}

void EmbedJob::run(const EmbedTarget& target, tasks::EmbedRequest request,
                   std::optional<Duration> timeout) {
  const auto deadline = request_deadline(http(), timeout);
  if (!deadline.ok()) return refuse(deadline.error());
  request_ = std::move(request);
  request_.deadline = *deadline;
  texts_ = request_.inputs.size();
  trace_->mark(Stage::kParse, now());
  tasks::EmbedService& service = *target.service;
  if (service.is_cached(request_)) return submit(service, admission::Place());
  if (target.breaker) {
    auto pass = target.breaker->enter();
    if (!pass.ok()) return refuse(pass.error());
    pass_ = std::move(*pass);
  }
  admission::Size size;
  for (const auto& input : request_.inputs) {
    size.bytes += static_cast<int64_t>(input.text.size() + (input.pair ? input.pair->size() : 0));
    size.tokens += static_cast<int64_t>(input.ids.size());
  }
  // Until the answer is complete a disconnect takes the request back everywhere.
  // Weak: the exchange must not keep a request that everybody else has dropped.
  exchange_->on_cancel([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->let_go();
    self->trace_->mark(Stage::kQueue, now());
    self->account(499);
  });
  auto wait =
      gate_.enter({.lane = target.lane,
                   .size = size,
                   .deadline = std::min<TimePoint>(*deadline, now() + service.options().timeout),
                   .priority = client_priority(http())},
                  [self = shared_from_this(), &service](Result<admission::Place> place) {
                    self->submit(service, std::move(place));
                  });
  const std::lock_guard lock(mutex_);
  if (!over_) std::swap(wait_, wait);
}

// The gate's answer: now the service may have it.
void EmbedJob::submit(tasks::EmbedService& service, Result<admission::Place> place) {
  if (!place.ok()) return fail(place.error());
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    waited_ = place->waited();
    place_ = std::move(*place);
  }
  // Weak: the request's own call must not keep it beyond its answer.
  request_.on_tokens = [weak = weak_from_this()](int64_t tokens) {
    const auto self = weak.lock();
    if (!self) return;
    const std::lock_guard lock(self->mutex_);
    self->place_.correct(tokens);
  };
  auto made = service.submit(std::move(request_),
                             [self = shared_from_this()](Result<tasks::EmbedAnswer> result) {
                               self->answer(std::move(result));
                             });
  const std::lock_guard lock(mutex_);
  if (!over_) std::swap(ticket_, made);
  // Else it was answered or its client left meanwhile: the ticket goes with its scope.
}

// Gives back whatever the request holds, which lets the next one in.
void EmbedJob::let_go() {
  std::unique_ptr<tasks::EmbedService::Ticket> ticket;
  std::unique_ptr<admission::Gate::Wait> wait;
  admission::Place place;
  const std::lock_guard lock(mutex_);
  over_ = true;
  ticket = std::move(ticket_);
  wait = std::move(wait_);
  place = std::move(place_);
}

// What was computed comes on the prep pool; what was cached comes on the thread that asked.
void EmbedJob::answer(Result<tasks::EmbedAnswer> result) {
  if (!result.ok()) return fail(result.error());
  if (result->compute > Duration::zero() || !is_large(*result))
    return write_answer(std::move(*result));
  // Shared, because a job has to be copyable.
  auto held = std::make_shared<tasks::EmbedAnswer>(std::move(*result));
  if (!prep_.post([self = shared_from_this(), held] { self->write_answer(std::move(*held)); }))
    refuse({Code::kOverloaded, "too many large answers wait to be written"});
}

void EmbedJob::write_answer(tasks::EmbedAnswer answer) {
  const TimePoint came = now();
  {
    const std::lock_guard lock(mutex_);
    place_.answered();
    answer.queue += waited_;
  }
  computed_ = answer.compute > Duration::zero();
  if (computed_) {
    // Texts that others asked for first may have waited and run before this request came.
    const TimePoint parsed = trace_->marked();
    const TimePoint began = std::max(parsed, came - answer.compute);
    const TimePoint queued = std::max(parsed, began - answer.queue);
    trace_->mark(Stage::kPrepare, queued);
    trace_->place(Stage::kQueue, queued, began - queued);
    trace_->place(Stage::kCompute, began, came - began);
    trace_->skip_to(came);
  } else {
    trace_->mark(Stage::kCache, came);
  }
  auto response = write(answer);
  if (!response.ok()) return refuse(response.error());
  trace_->mark(Stage::kWrite, now());
  trace_->attribute("gen_ai.usage.input_tokens", answer.tokens);
  account(200, answer.queue, answer.cache_hits);
  charge_client(http(), answer.tokens);
  exchange_->respond(std::move(*response));
  let_go();
}

}  // namespace sis::api
