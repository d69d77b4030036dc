#include "serve/api/predict/score_routes.h"

#include <chrono>

#include "base/check.h"
#include "base/strings.h"
#include "serve/api/client.h"
#include "serve/api/json_body.h"
#include "serve/api/predict/classify_json.h"
#include "serve/api/predict/rerank_json.h"

namespace sis::api {
namespace {

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

struct ScoreRoutes::Request final : EmbedJob {
  Request(std::shared_ptr<net::Exchange> exchange, Route route, const ScoreRoutes& routes)
      : EmbedJob(std::move(exchange), routes.gate_, routes.log_,
                 ranks(route) ? "rerank_request" : "classification_request",
                 *observer_of(route, routes.unknown_)),
        route(route) {}

  static bool ranks(Route route) { return route == Route::kRerank || route == Route::kScore; }
  static RequestObserver* observer_of(Route route, const Observers& observers) {
    return ranks(route) ? observers.rerank : observers.classify;
  }

  net::HttpResponse error(const Error& error, Duration fallback) const override {
    return shaped_error(shape, renamed(error, inputs_name), fallback);
  }
  Result<net::HttpResponse> write(const tasks::EmbedAnswer& answer) override {
    SIS_TRY(tasks::check_finite(answer));
    return net::HttpResponse{.body = body(answer)};
  }

  const Route route;
  ErrorShape shape = ErrorShape::kOpenAi;
  const char* inputs_name = "input";
  std::function<std::string(const tasks::EmbedAnswer&)> body;
};

ScoreRoutes::ScoreRoutes(const ScoreOptions& options, admission::Gate& gate, TaskPool& prep,
                         Observers unknown, telemetry::Logger log)
    : options_(options), gate_(gate), prep_(prep), unknown_(unknown), log_(std::move(log)) {}

void ScoreRoutes::add(ScoreModel model, Observers observers, const EmbedTarget& target) {
  const std::string name = model.name;
  Loaded& loaded = models_[name] = {std::move(model), observers, target};
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
  if (first_classifier_) {
    const ScoreModel& model = first_classifier_->model;
    if (const auto status = check_client_model(exchange->request(), model.name); !status.ok())
      return exchange->respond(shaped_error(ErrorShape::kPredict, status.error(), {}));
    return exchange->respond({.body = model_info_json(model)});
  }
  exchange->respond(shaped_error(ErrorShape::kPredict,
                                 {Code::kUnavailable, "no classification model is loaded"}, {}));
}

void ScoreRoutes::handle(std::shared_ptr<net::Exchange> exchange, Route route) const {
  auto request = std::make_shared<Request>(std::move(exchange), route, *this);
  if (route == Route::kPredict || route == Route::kPredictBatch)
    request->shape = ErrorShape::kPredict;
  const net::HttpRequest& http = request->http();
  if (!is_json_type(http.header("Content-Type")))
    return request->refuse(shaped_status(request->shape, 415,
                                         concat("Content-Type: want application/json, got ",
                                                in_quotes(http.header("Content-Type")))));
  if (http.body.size() <= options_.parse_inline_bytes_max) return parse_and_submit(request);
  if (!prep_.post([this, request] { parse_and_submit(request); }))
    request->refuse({Code::kOverloaded, "too many large requests wait to be read"});
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
  const net::HttpRequest& http = request->http();
  const auto body = parse_body(http.body);
  if (!body.ok()) return request->refuse(body.error());
  request->shape = shape_of(request->route, http.path, *body);
  const auto found = find(request->route, *body, request->shape);
  if (!found.ok()) return request->refuse(found.error());
  const Loaded& loaded = **found;
  if (auto status = request->found_model(loaded.model.name,
                                         *Request::observer_of(request->route, loaded.observers));
      !status.ok())
    return request->refuse(status.error());
  auto call = parse(request->route, http.path, *body,
                    {.model = loaded.model,
                     .options = options_,
                     .request_id = http.request_id,
                     .now = unix_seconds()});
  if (!call.ok()) return request->refuse(call.error());
  if (!can(request->route, loaded.model)) {
    const bool ranks = Request::ranks(request->route);
    return request->refuse({Code::kInvalidArgument,
                            concat("model ", in_quotes(loaded.model.name),
                                   ranks ? " does not rerank texts (capability rerank)"
                                         : " does not classify texts (capability"
                                           " text-classification)"),
                            "model"});
  }
  request->inputs_name = call->inputs_name;
  request->body = std::move(call->write);
  if (call->request.inputs.empty()) return request->answer(tasks::EmbedAnswer{});
  request->run(loaded.target, std::move(call->request));
}

}  // namespace sis::api
