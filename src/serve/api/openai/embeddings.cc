#include "serve/api/openai/embeddings.h"

#include <algorithm>
#include <atomic>

#include "base/strings.h"
#include "serve/api/errors.h"
#include "serve/api/json_body.h"
#include "telemetry/stages.h"

namespace sis::api {
namespace {

using telemetry::Stage;

TimePoint now() { return std::chrono::steady_clock::now(); }

}  // namespace

// One request on its way; shared because the socket's side (disconnect) and the service's side
// (answer) both hold it.
struct EmbeddingsRoute::Request {
  explicit Request(std::shared_ptr<net::Exchange> exchange_in, const EmbeddingsRoute& route)
      : exchange(std::move(exchange_in)), route(route), timer(exchange->request().received_at) {}

  // The first caller decides the status that is counted and logged. A disconnect calls it beside
  // the answering thread, so nothing here reads what that one writes.
  void account(int status, Duration queue = {}, Duration compute = {}, int32_t cache_hits = 0) {
    if (accounted.exchange(true)) return;
    const Duration latency = now() - exchange->request().received_at;
    // Vectors from the cache say nothing about the model.
    if (status != 200 || compute > Duration::zero()) pass.end_with_status(status);
    pass = {};
    observer->on_request(status, latency, queue);
    route.log_.log(status >= 500 ? telemetry::Level::kWarning : telemetry::Level::kInfo,
                   "embedding_request", exchange->request().request_id,
                   {{"model", observer == &route.unknown_ ? "unknown" : call.model},
                    {"status", status},
                    {"latency_ms", to_ms(latency)},
                    {"queue_ms", to_ms(queue)},
                    {"compute_ms", to_ms(compute)},
                    {"batch_size", texts},
                    {"cache_hits", cache_hits}});
  }

  void fail(const Error& error) {
    auto response = error_response(error, route.options_.retry_after);
    account(response.status);
    exchange->respond(std::move(response));
  }

  void answer(Result<tasks::EmbedAnswer> result) {
    if (!result.ok()) return fail(result.error());
    if (result->compute > Duration::zero()) {
      timer.add(Stage::kQueue, result->queue);
      timer.add(Stage::kCompute, result->compute);
      timer.mark(Stage::kPrepare, now() - result->queue - result->compute);
      timer.skip_to(now());
    } else {
      timer.mark(Stage::kCache, now());
    }
    auto body = write_embeddings(*result, call.model, call.base64, call.dimensions.value_or(0),
                                 route.options_.count_tokens);
    if (!body.ok()) return fail(body.error());
    const TimePoint end = now();
    timer.mark(Stage::kWrite, end);
    // Base64 of floats hardly shrinks, and every SDK offers to unpack.
    net::HttpResponse response{.body = std::move(*body), .compressible = !call.base64};
    response.headers.emplace_back("Server-Timing", timer.server_timing(end));
    account(200, result->queue, result->compute, result->cache_hits);
    exchange->respond(std::move(response));
  }

  const std::shared_ptr<net::Exchange> exchange;
  const EmbeddingsRoute& route;
  telemetry::StageTimer timer;
  EmbeddingsCall call;
  RequestObserver* observer = &route.unknown_;
  admission::Breaker::Pass pass;
  size_t texts = 0;
  std::atomic<bool> accounted{false};
};

EmbeddingsRoute::EmbeddingsRoute(const EmbeddingsOptions& options, TaskPool& prep,
                                 RequestObserver& unknown, telemetry::Logger log)
    : options_(options), prep_(prep), unknown_(unknown), log_(std::move(log)) {}

void EmbeddingsRoute::add(const std::string& name, tasks::EmbedService& service,
                          RequestObserver& observer, admission::Breaker* breaker) {
  models_[name] = {&service, &observer, breaker};
}

void EmbeddingsRoute::add_other(const std::string& name, RequestObserver& observer) {
  models_[name] = {nullptr, &observer};
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
    request->fail({Code::kOverloaded, "too many large requests wait to be read"});
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
        return {};
      });
  if (!call.ok()) return request->fail(call.error());
  request->call = std::move(*call);
  request->texts = request->call.request.inputs.size();
  if (const auto status = check(request->call, *model); !status.ok())
    return request->fail(status.error());
  if (model->breaker) {
    auto pass = model->breaker->enter();
    if (!pass.ok()) return request->fail(pass.error());
    request->pass = std::move(*pass);
  }
  request->timer.mark(Stage::kParse, now());

  std::shared_ptr<tasks::EmbedService::Ticket> ticket = model->service->submit(
      std::move(request->call.request),
      [request](Result<tasks::EmbedAnswer> result) { request->answer(std::move(result)); });
  // The exchange drops this when the answer is complete; until then a disconnect takes the request
  // back everywhere.
  if (ticket)
    request->exchange->on_cancel([request, ticket]() mutable {
      ticket.reset();
      request->account(499);
    });
}

}  // namespace sis::api
