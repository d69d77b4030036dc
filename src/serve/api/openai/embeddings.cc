#include "serve/api/openai/embeddings.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "base/strings.h"
#include "serve/api/client.h"
#include "serve/api/errors.h"
#include "serve/api/json_body.h"
#include "serve/api/request_timeout.h"
#include "serve/api/request_trace.h"

namespace sis::api {
namespace {

using telemetry::Stage;

TimePoint now() { return std::chrono::steady_clock::now(); }

}  // namespace

// One request on its way; shared because the socket's side (disconnect) and the service's side
// (answer) both hold it.
struct EmbeddingsRoute::Request : std::enable_shared_from_this<Request> {
  explicit Request(std::shared_ptr<net::Exchange> exchange_in, const EmbeddingsRoute& route)
      : exchange(std::move(exchange_in)), route(route), trace(RequestTrace::of(exchange)) {
    trace->set_model(kUnknown);
    trace->attribute("gen_ai.operation.name", "embeddings");
  }

  // The first caller decides the status that is counted and logged. A disconnect calls it beside
  // the answering thread, so nothing here reads what that one writes.
  void account(int status, Duration queue = {}, int32_t cache_hits = 0) {
    if (accounted.exchange(true)) return;
    const TimePoint end = now();
    if (status != 200 || computed) pass.end_with_status(status);
    pass = {};
    observer->on_request(status, end - exchange->request().received_at, queue);
    trace->end(status, end, route.log_, "embedding_request",
               {{"batch_size", texts}, {"cache_hits", cache_hits}});
  }

  void fail(const Error& error) {
    trace->mark(Stage::kQueue, now());  // what was submitted has waited until now
    refuse(error);
  }
  void refuse(const Error& error) {
    const bool full = error.code == Code::kOverloaded && error.retry_after <= Duration::zero();
    auto response = error_response(error, full ? route.gate_.retry_after() : Duration::zero());
    account(response.status);
    exchange->respond(std::move(response));
    let_go();
  }

  // The gate's answer: now the service may have it.
  void submit(tasks::EmbedService& service, Result<admission::Place> place) {
    if (!place.ok()) return fail(place.error());
    {
      const std::lock_guard lock(mutex);
      if (over) return;
      waited = place->waited();
      this->place = std::move(*place);
    }
    // Not `shared_from_this`: the request's own call must not keep it beyond its answer.
    call.request.on_tokens = [weak = weak_from_this()](int64_t tokens) {
      if (const auto self = weak.lock()) self->on_tokens(tokens);
    };
    auto made = service.submit(std::move(call.request),
                               [self = shared_from_this()](Result<tasks::EmbedAnswer> result) {
                                 self->answer(std::move(result));
                               });
    const std::lock_guard lock(mutex);
    if (!over) std::swap(ticket, made);
    // Else it was answered or its client left meanwhile: the ticket goes with its scope.
  }

  void on_tokens(int64_t tokens) {
    const std::lock_guard lock(mutex);
    place.correct(tokens);
  }

  // Gives back whatever the request holds, which lets the next one in.
  void let_go() {
    std::unique_ptr<tasks::EmbedService::Ticket> gone_ticket;
    std::unique_ptr<admission::Gate::Wait> gone_wait;
    admission::Place gone_place;
    const std::lock_guard lock(mutex);
    over = true;
    gone_ticket = std::move(ticket);
    gone_wait = std::move(wait);
    gone_place = std::move(place);
  }

  void answer(Result<tasks::EmbedAnswer> result) {
    if (!result.ok()) return fail(result.error());
    const TimePoint came = now();
    {
      const std::lock_guard lock(mutex);
      place.answered();
      result->queue += waited;
    }
    computed = result->compute > Duration::zero();
    if (computed) {
      // Texts that others asked for first may have waited and run before this request came.
      const TimePoint parsed = trace->marked();
      const TimePoint began = std::max(parsed, came - result->compute);
      const TimePoint queued = std::max(parsed, began - result->queue);
      trace->mark(Stage::kPrepare, queued);
      trace->place(Stage::kQueue, queued, began - queued);
      trace->place(Stage::kCompute, began, came - began);
      trace->skip_to(came);
    } else {
      trace->mark(Stage::kCache, came);
    }
    auto body = write_embeddings(*result, call.model, call.base64, call.dimensions.value_or(0),
                                 route.options_.count_tokens);
    if (!body.ok()) return refuse(body.error());
    trace->mark(Stage::kWrite, now());
    trace->attribute("gen_ai.usage.input_tokens", result->tokens);
    // Base64 of floats hardly shrinks, and every SDK offers to unpack.
    net::HttpResponse response{.body = std::move(*body), .compressible = !call.base64};
    account(200, result->queue, result->cache_hits);
    charge_client(exchange->request(), result->tokens);
    exchange->respond(std::move(response));
    let_go();
  }

  const std::shared_ptr<net::Exchange> exchange;
  const EmbeddingsRoute& route;
  const std::shared_ptr<RequestTrace> trace;
  EmbeddingsCall call;
  RequestObserver* observer = &route.unknown_;
  admission::Breaker::Pass pass;
  size_t texts = 0;
  bool computed = false;  // vectors from the cache say nothing about the model
  std::atomic<bool> accounted{false};

  std::mutex mutex;  // guards what follows
  std::unique_ptr<admission::Gate::Wait> wait;
  admission::Place place;
  std::unique_ptr<tasks::EmbedService::Ticket> ticket;
  Duration waited{};  // for the place
  bool over = false;
};

EmbeddingsRoute::EmbeddingsRoute(const EmbeddingsOptions& options, admission::Gate& gate,
                                 TaskPool& prep, RequestObserver& unknown, telemetry::Logger log)
    : options_(options), gate_(gate), prep_(prep), unknown_(unknown), log_(std::move(log)) {}

void EmbeddingsRoute::add(const std::string& name, tasks::EmbedService& service,
                          RequestObserver& observer, admission::Lane* lane,
                          admission::Breaker* breaker) {
  models_[name] = {&service, &observer, lane, breaker};
}

void EmbeddingsRoute::add_other(const std::string& name, RequestObserver& observer) {
  models_[name] = {nullptr, &observer, nullptr};
}

void EmbeddingsRoute::handle(std::shared_ptr<net::Exchange> exchange) const {
  auto request = std::make_shared<Request>(std::move(exchange), *this);
  const net::HttpRequest& http = request->exchange->request();
  if (!is_json_type(http.header("Content-Type"))) {
    request->account(415);
    return request->exchange->respond(
        status_response(415, concat("Content-Type: want application/json, got ",
                                    in_quotes(http.header("Content-Type")))));
  }
  if (http.body.size() <= options_.parse_inline_bytes_max) return parse_and_submit(request);
  if (!prep_.post([this, request] { parse_and_submit(request); }))
    request->refuse({Code::kOverloaded, "too many large requests wait to be read"});
}

Status EmbeddingsRoute::check(const EmbeddingsCall& call, const Model& model) const {
  if (!model.service)
    return Error{
        Code::kInvalidArgument,
        concat("model ", in_quotes(call.model), " does not embed text (capability text-embedding)"),
        "model"};
  if (!call.dimensions) return {};
  const auto& loaded = model.service->model();
  const int32_t wanted = *call.dimensions, native = loaded.dimensions();
  if (wanted > native)
    return Error{Code::kInvalidArgument,
                 concat("dimensions: ", in_quotes(call.model), " has ", native, ", got ", wanted),
                 "dimensions"};
  const auto& allowed = loaded.dimensions_allowed;
  if (wanted == native || loaded.any_dimensions ||
      std::find(allowed.begin(), allowed.end(), wanted) != allowed.end())
    return {};
  return Error{
      Code::kInvalidArgument,
      concat("dimensions: ", in_quotes(call.model), " is not trained for ", wanted, " of its ",
             native, " (",
             allowed.empty() ? "whole vectors only" : "allowed: " + join_list(allowed), ")"),
      "dimensions"};
}

void EmbeddingsRoute::parse_and_submit(const std::shared_ptr<Request>& request) const {
  const Model* model = nullptr;
  auto call = parse_embeddings(
      request->exchange->request().body, options_.limits, [&](const std::string& name) -> Status {
        const auto it = models_.find(name);
        if (it == models_.end())
          return Error{Code::kNotFound,
                       concat("model ", in_quotes(name),
                              " is not loaded; GET /v1/models lists those that are"),
                       "model", "model_not_found"};
        model = &it->second;
        request->observer = model->observer;
        request->call.model = name;
        request->trace->set_model(name);
        return check_client_model(request->exchange->request(), name);
      });
  if (!call.ok()) return request->refuse(call.error());
  request->call = std::move(*call);
  request->texts = request->call.request.inputs.size();
  if (const auto status = check(request->call, *model); !status.ok())
    return request->refuse(status.error());
  request->trace->mark(Stage::kParse, now());

  auto deadline = request_deadline(request->exchange->request(), request->call.timeout);
  if (!deadline.ok()) return request->refuse(deadline.error());
  request->call.request.deadline = *deadline;
  enter(request, *model);
}

void EmbeddingsRoute::enter(const std::shared_ptr<Request>& request, const Model& model) const {
  tasks::EmbedService& service = *model.service;
  const tasks::EmbedRequest& wanted = request->call.request;
  if (service.is_cached(wanted)) return request->submit(service, admission::Place());
  if (model.breaker) {
    auto pass = model.breaker->enter();
    if (!pass.ok()) return request->refuse(pass.error());
    request->pass = std::move(*pass);
  }
  admission::Size size;
  for (const auto& input : wanted.inputs) {
    size.bytes += static_cast<int64_t>(input.text.size() + (input.pair ? input.pair->size() : 0));
    size.tokens += static_cast<int64_t>(input.ids.size());
  }
  // Until the answer is complete a disconnect takes the request back everywhere.
  request->exchange->on_cancel([request] {
    request->let_go();
    request->trace->mark(Stage::kQueue, now());
    request->account(499);
  });
  auto wait = gate_.enter(
      {.lane = model.lane,
       .size = size,
       .deadline = std::min<TimePoint>(wanted.deadline, now() + service.options().timeout)},
      [request, &service](Result<admission::Place> place) {
        request->submit(service, std::move(place));
      });
  const std::lock_guard lock(request->mutex);
  if (!request->over) std::swap(request->wait, wait);
}

}  // namespace sis::api
