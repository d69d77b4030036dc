#include "serve/api/predict/score_routes.h"

#include <atomic>
#include <chrono>

#include "base/check.h"
#include "base/strings.h"
#include "serve/api/json_body.h"
#include "serve/api/predict/classify_json.h"
#include "serve/api/predict/rerank_json.h"
#include "telemetry/stages.h"

namespace sis::api {
namespace {

using telemetry::Stage;

TimePoint now() { return std::chrono::steady_clock::now(); }

int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The service counts inputs; the client calls them something else.
Error renamed(Error error, const char* inputs_name) {
  constexpr std::string_view kInput = "input";
  const auto rename = [&](std::string& text) {
    if (const size_t at = text.find("input["); at != std::string::npos)
      text.replace(at, kInput.size(), inputs_name);
  };
  rename(error.message);
  if (error.param == kInput) error.param = inputs_name;
  return error;
}

}  // namespace

// One request on its way; shared because the socket's side (disconnect) and the service's side
// (answer) both hold it.
struct ScoreRoutes::Request {
  Request(std::shared_ptr<net::Exchange> exchange_in, Route route_in, const ScoreRoutes& routes_in)
      : exchange(std::move(exchange_in)),
        route(route_in),
        routes(routes_in),
        timer(exchange->request().received_at),
        observer(observer_of(routes.unknown_)) {}

  RequestObserver* observer_of(const Observers& observers) const {
    return route == Route::kRerank || route == Route::kScore ? observers.rerank
                                                             : observers.classify;
  }

  // The first caller decides the status that is counted and logged. A disconnect calls it beside
  // the answering thread, so nothing here reads what that one writes.
  void account(int status, Duration queue = {}, Duration compute = {}, int32_t cache_hits = 0) {
    if (accounted.exchange(true)) return;
    const Duration latency = now() - exchange->request().received_at;
    observer->on_request(status, latency, queue);
    routes.log_.log(status >= 500 ? telemetry::Level::kWarning : telemetry::Level::kInfo,
                    route == Route::kRerank || route == Route::kScore ? "rerank_request"
                                                                      : "classification_request",
                    exchange->request().request_id,
                    {{"model", model ? model->name : "unknown"},
                     {"status", status},
                     {"latency_ms", to_ms(latency)},
                     {"queue_ms", to_ms(queue)},
                     {"compute_ms", to_ms(compute)},
                     {"batch_size", texts},
                     {"cache_hits", cache_hits}});
  }

  void fail(const Error& error) {
    auto response = shaped_error(shape, renamed(error, inputs_name), routes.options_.retry_after);
    account(response.status);
    exchange->respond(std::move(response));
  }

  void answer(const Result<tasks::EmbedAnswer>& result) {
    if (!result.ok()) return fail(result.error());
    if (result->compute > Duration::zero()) {
      timer.add(Stage::kQueue, result->queue);
      timer.add(Stage::kCompute, result->compute);
      timer.mark(Stage::kPrepare, now() - result->queue - result->compute);
      timer.skip_to(now());
    } else {
      timer.mark(Stage::kCache, now());
    }
    if (const auto status = tasks::check_finite(*result); !status.ok()) return fail(status.error());
    net::HttpResponse response{.body = write(*result)};
    const TimePoint end = now();
    timer.mark(Stage::kWrite, end);
    response.headers.emplace_back("Server-Timing", timer.server_timing(end));
    account(200, result->queue, result->compute, result->cache_hits);
    exchange->respond(std::move(response));
  }

  const std::shared_ptr<net::Exchange> exchange;
  const Route route;
  const ScoreRoutes& routes;
  telemetry::StageTimer timer;
  ErrorShape shape = ErrorShape::kOpenAi;
  const ScoreModel* model = nullptr;  // null: none that is loaded
  RequestObserver* observer;
  const char* inputs_name = "input";
  std::function<std::string(const tasks::EmbedAnswer&)> write;
  size_t texts = 0;
  std::atomic<bool> accounted{false};
};

ScoreRoutes::ScoreRoutes(const ScoreOptions& options, TaskPool& prep, Observers unknown,
                         telemetry::Logger log)
    : options_(options), prep_(prep), unknown_(unknown), log_(std::move(log)) {}

void ScoreRoutes::add(ScoreModel model, Observers observers) {
  const std::string name = model.name;
  Loaded& loaded = models_[name] = {std::move(model), observers};
  if (loaded.model.ranks && !first_ranker_) first_ranker_ = &loaded;
  if (loaded.model.classifies && !first_classifier_) first_classifier_ = &loaded;
}

void ScoreRoutes::set_predict_model(const std::string& name) {
  const auto it = models_.find(name);
  SIS_CHECK(it != models_.end(), name);
  first_classifier_ = &it->second;
}

void ScoreRoutes::rerank(std::shared_ptr<net::Exchange> exchange) const {
  handle(std::move(exchange), Route::kRerank);
}
void ScoreRoutes::score(std::shared_ptr<net::Exchange> exchange) const {
  handle(std::move(exchange), Route::kScore);
}
void ScoreRoutes::classify(std::shared_ptr<net::Exchange> exchange) const {
  handle(std::move(exchange), Route::kClassify);
}
void ScoreRoutes::predict(std::shared_ptr<net::Exchange> exchange) const {
  handle(std::move(exchange), Route::kPredict);
}
void ScoreRoutes::predict_batch(std::shared_ptr<net::Exchange> exchange) const {
  handle(std::move(exchange), Route::kPredictBatch);
}

void ScoreRoutes::model_info(std::shared_ptr<net::Exchange> exchange) const {
  if (first_classifier_)
    return exchange->respond({.body = model_info_json(first_classifier_->model)});
  exchange->respond(shaped_error(ErrorShape::kPredict,
                                 {Code::kUnavailable, "no classification model is loaded"}, {}));
}

void ScoreRoutes::handle(std::shared_ptr<net::Exchange> exchange, Route route) const {
  auto request = std::make_shared<Request>(std::move(exchange), route, *this);
  if (route == Route::kPredict || route == Route::kPredictBatch)
    request->shape = ErrorShape::kPredict;
  const net::HttpRequest& http = request->exchange->request();
  if (!is_json_type(http.header("Content-Type"))) {
    request->account(415);
    return request->exchange->respond(
        shaped_status(request->shape, 415,
                      concat("Content-Type: want application/json, got ",
                             in_quotes(http.header("Content-Type")))));
  }
  if (http.body.size() <= options_.parse_inline_bytes_max) return parse_and_submit(request);
  if (!prep_.post([this, request] { parse_and_submit(request); }))
    request->fail({Code::kOverloaded, "too many large requests wait to be read"});
}

ErrorShape ScoreRoutes::shape_of(Route route, const std::string& path, const JsonObject& body) {
  switch (route) {
    case Route::kRerank:
      return rerank_dialect(path, body) == RerankDialect::kTei ? ErrorShape::kTei
                                                               : ErrorShape::kOpenAi;
    case Route::kScore:
    case Route::kClassify:
      return ErrorShape::kOpenAi;
    case Route::kPredict:
      return field_of(body, "inputs") ? ErrorShape::kTei : ErrorShape::kPredict;
    case Route::kPredictBatch:
      return ErrorShape::kPredict;
  }
  return ErrorShape::kOpenAi;
}

bool ScoreRoutes::can(Route route, const ScoreModel& model) {
  switch (route) {
    case Route::kRerank:
      return model.ranks;
    case Route::kScore:
      return model.ranks || model.embeds;
    case Route::kClassify:
    case Route::kPredict:
    case Route::kPredictBatch:
      return model.classifies;
  }
  return false;
}

Result<const ScoreRoutes::Loaded*> ScoreRoutes::find(Route route, const JsonObject& body,
                                                     ErrorShape shape) const {
  const auto field = field_of(body, "model");
  if (!field) {
    if (shape == ErrorShape::kOpenAi) return invalid("model is missing", "model");
    const bool ranks = route == Route::kRerank;
    if (const Loaded* first = ranks ? first_ranker_ : first_classifier_) return first;
    return Error{Code::kUnavailable,
                 concat("no ", ranks ? "rerank" : "classification", " model is loaded")};
  }
  std::string_view name;
  if (field->get_string().get(name) || name.empty())
    return invalid(concat("model: want a model's name, got ",
                          name.empty() ? std::string(json_kind(*field)) : in_quotes(name)),
                   "model");
  const auto it = models_.find(name);
  if (it == models_.end())
    return Error{
        Code::kNotFound,
        concat("model ", in_quotes(name), " is not loaded; GET /v1/models lists those that are"),
        "model", "model_not_found"};
  return &it->second;
}

Result<ScoreCall> ScoreRoutes::parse(Route route, const std::string& path, const JsonObject& body,
                                     const ScorePlace& place) const {
  switch (route) {
    case Route::kRerank:
      return parse_rerank(rerank_dialect(path, body), body, place);
    case Route::kScore:
      return parse_score(body, place);
    case Route::kClassify:
      return parse_classify(body, place);
    case Route::kPredict:
      return field_of(body, "inputs") ? parse_tei_predict(body, place) : parse_predict(body, place);
    case Route::kPredictBatch:
      return parse_predict_batch(body, place);
  }
  return Error{Code::kInternal, "no such route"};
}

void ScoreRoutes::parse_and_submit(const std::shared_ptr<Request>& request) const {
  const net::HttpRequest& http = request->exchange->request();
  const auto body = parse_body(http.body);
  if (!body.ok()) return request->fail(body.error());
  request->shape = shape_of(request->route, http.path, *body);
  const auto found = find(request->route, *body, request->shape);
  if (!found.ok()) return request->fail(found.error());
  const Loaded& loaded = **found;
  request->model = &loaded.model;
  request->observer = request->observer_of(loaded.observers);
  auto call = parse(request->route, http.path, *body,
                    {.model = loaded.model,
                     .options = options_,
                     .request_id = http.request_id,
                     .now = unix_seconds()});
  if (!call.ok()) return request->fail(call.error());
  if (!can(request->route, loaded.model)) {
    const bool ranks = request->route == Route::kRerank || request->route == Route::kScore;
    return request->fail({Code::kInvalidArgument,
                          concat("model ", in_quotes(loaded.model.name),
                                 ranks ? " does not rerank texts (capability rerank)"
                                       : " does not classify texts (capability"
                                         " text-classification)"),
                          "model"});
  }
  request->timer.mark(Stage::kParse, now());
  submit(request, std::move(*call));
}

// Everything is checked, nothing is tokenised yet: the one place where a request asks for admission
// by the embedding gate, whose place would live in the request.
void ScoreRoutes::submit(const std::shared_ptr<Request>& request, ScoreCall call) const {
  request->texts = call.request.inputs.size();
  request->inputs_name = call.inputs_name;
  request->write = std::move(call.write);
  if (call.request.inputs.empty()) return request->answer(tasks::EmbedAnswer{});
  std::shared_ptr<tasks::EmbedService::Ticket> ticket = request->model->service->submit(
      std::move(call.request),
      [request](Result<tasks::EmbedAnswer> result) { request->answer(result); });
  // The exchange drops this when the answer is complete; until then a disconnect takes the request
  // back everywhere.
  if (ticket)
    request->exchange->on_cancel([request, ticket]() mutable {
      ticket.reset();
      request->account(499);
    });
}

}  // namespace sis::api
