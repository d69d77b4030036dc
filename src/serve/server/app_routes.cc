// Which path means what.
#include "serve/api/errors.h"
#include "serve/api/surface.h"
#include "serve/server/app_impl.h"
#include "version.h"

namespace sis::server {

void AppImpl::answer_scrape(net::Exchange& exchange) {
  refresh_gauges();
  auto exposition = registry_.expose(exchange.request().header("Accept"));
  exchange.respond(
      {.content_type = std::move(exposition.content_type), .body = std::move(exposition.body)});
}

void AppImpl::add_routes() {
  const auto json = [](std::string body, int status = 200) {
    return net::HttpResponse{.status = status, .body = std::move(body)};
  };
  router_.add("GET", "/", [json](auto exchange) {
    exchange->respond(json(nlohmann::json{
        {"success", true},
        {"service", "simple-inference-server"},
        {"version", SIS_VERSION},
        {"status", "running"},
        {"endpoints",
         {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/score",
          "/v1/classify", "/v1/infer", "/v1/infer/stream", "/v1/models", "/predict",
          "/predict_batch", "/models/info", "/tokenize", "/detokenize", "/apply-template",
          "/webhooks/ingest", "/health", "/ready",
          "/metrics"}}}.dump()));
  });
  // Asked every few seconds by machines: not worth a line or a span each.
  const auto quietly = [](auto handle) {
    return [handle](std::shared_ptr<net::Exchange> exchange) {
      api::RequestTrace::of(exchange)->set_quiet();
      handle(std::move(exchange));
    };
  };
  for (const char* path : {"/health", "/healthz"})
    router_.add(
        "GET", path, quietly([this, json](auto exchange) {
          const auto view = health();
          exchange->respond(json(api::health_json(view), api::is_healthy(view) ? 200 : 503));
        }));
  for (const char* path : {"/live", "/livez"})
    router_.add("GET", path, quietly([json](auto exchange) {
                  exchange->respond(json(R"({"status":"alive"})"));
                }));
  for (const char* path : {"/ready", "/readyz"})
    router_.add("GET", path, quietly([this, json](auto exchange) {
                  if (ready_ && !draining_) return exchange->respond(json(R"({"status":"ready"})"));
                  exchange->respond(json(
                      draining_ ? R"({"status":"draining"})" : R"({"status":"loading"})", 503));
                }));
  for (const char* path : {"/metrics", "/metrics/"})
    router_.add("GET", path, quietly([this](auto exchange) {
                  if (!settings_.flag("ENABLE_METRICS"))
                    return exchange->respond(
                        api::status_response(404, "metrics are off (ENABLE_METRICS=0)"));
                  if (!scrapes_.post([this, exchange] { answer_scrape(*exchange); }))
                    exchange->respond(api::error_response(
                        {Code::kUnavailable, "too many scrapes of /metrics at once"},
                        std::chrono::seconds(1)));
                }));
  router_.add("GET", "/v1/models", [this, json](auto exchange) {
    exchange->respond(json(api::models_json(model_views(exchange->request()))));
  });
  router_.add("GET", "/v1/models/*", [this](auto exchange) { serve_model(exchange); });
  const auto when_ready = [this](auto handle) {
    return [this, handle](std::shared_ptr<net::Exchange> exchange) {
      if (ready_ && !draining_) return handle(std::move(exchange));
      exchange->respond(api::surface_error(
          exchange->request().path,
          {Code::kUnavailable,
           draining_ ? "the server is shutting down" : "the models are still loading", "", "",
           std::chrono::seconds(1)}));
    };
  };
  router_.add("POST", "/v1/embeddings",
              when_ready([this](auto exchange) { embeddings_.handle(std::move(exchange)); }));
  for (const char* path : {"/v1/rerank", "/v2/rerank", "/rerank", "/reranking"})
    router_.add("POST", path,
                when_ready([this](auto exchange) { scores_.rerank(std::move(exchange)); }));
  for (const char* path : {"/v1/score", "/score"})
    router_.add("POST", path,
                when_ready([this](auto exchange) { scores_.score(std::move(exchange)); }));
  for (const char* path : {"/v1/classify", "/classify"})
    router_.add("POST", path,
                when_ready([this](auto exchange) { scores_.classify(std::move(exchange)); }));
  router_.add("POST", "/predict",
              when_ready([this](auto exchange) { scores_.predict(std::move(exchange)); }));
  router_.add("POST", "/predict_batch",
              when_ready([this](auto exchange) { scores_.predict_batch(std::move(exchange)); }));
  router_.add("GET", "/models/info",
              when_ready([this](auto exchange) { scores_.model_info(std::move(exchange)); }));
  router_.add("POST", "/v1/chat/completions",
              when_ready([this](auto exchange) { chat_.chat(std::move(exchange)); }));
  router_.add("POST", "/v1/completions",
              when_ready([this](auto exchange) { chat_.completions(std::move(exchange)); }));
  router_.add("POST", "/v1/infer",
              when_ready([this](auto exchange) { infer_.infer(std::move(exchange)); }));
  router_.add("POST", "/v1/infer/stream",
              when_ready([this](auto exchange) { infer_.stream(std::move(exchange)); }));
  router_.add("POST", "/webhooks/ingest",
              [this](auto exchange) { webhooks_.ingest(std::move(exchange)); });
  router_.add("POST", "/tokenize",
              when_ready([this](auto exchange) { texts_.tokenize(std::move(exchange)); }));
  for (const char* path : {"/detokenize", "/decode"})
    router_.add("POST", path,
                when_ready([this](auto exchange) { texts_.detokenize(std::move(exchange)); }));
  router_.add("POST", "/apply-template",
              when_ready([this](auto exchange) { texts_.apply_template(std::move(exchange)); }));
}

}  // namespace sis::server
