#include "serve/api/openai/embeddings.h"

#include <algorithm>

#include "base/strings.h"
#include "serve/api/errors.h"
#include "serve/api/json_body.h"

namespace sis::api {
struct EmbeddingsRoute::Request final : EmbedJob {
  Request(std::shared_ptr<net::Exchange> exchange, const EmbeddingsRoute& route)
      : EmbedJob(std::move(exchange), route.gate_, route.prep_, route.log_, "embedding_request",
                 route.unknown_),
        route(route) {}

  net::HttpResponse error(const Error& error, Duration fallback) const override {
    return error_response(error, fallback);
  }
  Result<net::HttpResponse> write(const tasks::EmbedAnswer& answer) override {
    SIS_ASSIGN(auto body,
               write_embeddings(answer, call.model, call.base64, call.dimensions.value_or(0),
                                route.options_.count_tokens));
    // Base64 of floats hardly shrinks, and every SDK offers to unpack.
    return net::HttpResponse{.body = std::move(body), .compressible = !call.base64};
  }

  const EmbeddingsRoute& route;
  EmbeddingsCall call;
};

EmbeddingsRoute::EmbeddingsRoute(const EmbeddingsOptions& options, admission::Gate& gate,
                                 TaskPool& prep, RequestObserver& unknown, telemetry::Logger log)
    : options_(options), gate_(gate), prep_(prep), unknown_(unknown), log_(std::move(log)) {}

void EmbeddingsRoute::add(const std::string& name, tasks::EmbedService& service,
                          RequestObserver& observer, admission::Lane* lane,
                          admission::Breaker* breaker) {
  models_[name] = {{&service, lane, breaker}, &observer};
}

void EmbeddingsRoute::add_other(const std::string& name, RequestObserver& observer) {
  models_[name] = {.observer = &observer};
}

void EmbeddingsRoute::handle(std::shared_ptr<net::Exchange> exchange) const {
  auto request = std::make_shared<Request>(std::move(exchange), *this);
  const net::HttpRequest& http = request->http();
  if (!is_json_type(http.header("Content-Type")))
    return request->refuse(status_response(415, concat("Content-Type: want application/json, got ",
                                                       in_quotes(http.header("Content-Type")))));
  if (http.body.size() <= options_.parse_inline_bytes_max) return parse_and_submit(request);
  if (!prep_.post([this, request] { parse_and_submit(request); }))
    request->refuse({Code::kOverloaded, "too many large requests wait to be read"});
}

Status EmbeddingsRoute::check(const EmbeddingsCall& call, const Model& model) const {
  if (!model.target.service)
    return Error{
        Code::kInvalidArgument,
        concat("model ", in_quotes(call.model), " does not embed text (capability text-embedding)"),
        "model"};
  if (!call.dimensions) return {};
  const auto& loaded = model.target.service->model();
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
  auto call = parse_embeddings(request->http().body, options_.limits,
                               [&](const std::string& name) -> Status {
                                 const auto it = models_.find(name);
                                 if (it == models_.end()) return model_not_loaded(name);
                                 model = &it->second;
                                 return request->found_model(name, *model->observer);
                               });
  if (!call.ok()) return request->refuse(call.error());
  request->call = std::move(*call);
  if (const auto status = check(request->call, *model); !status.ok())
    return request->refuse(status.error());
  request->run(model->target, std::move(request->call.request), request->call.timeout);
}

}  // namespace sis::api
