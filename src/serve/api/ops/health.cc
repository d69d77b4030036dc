#include "serve/api/ops/health.h"

#include "base/strings.h"
#include "base/utc.h"

namespace sis::api {
namespace {

using nlohmann::json;

json queues_json(const std::vector<QueueView>& queues) {
  json out = json::array();
  for (const auto& queue : queues)
    out.push_back({{"model", queue.model},
                   {"size", queue.size},
                   {"max_size", queue.size_max ? json(*queue.size_max) : json()}});
  return out;
}

template <class T>
json or_null(const T& items) {
  return items.empty() ? json() : json(items);
}

template <class T>
json optional_json(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

}  // namespace

bool is_healthy(const HealthView& view) {
  return view.registry &&
         (!view.warmup.required || (view.warmup.completed && view.warmup.failures.empty()));
}

std::string health_json(const HealthView& view) {
  const json document = {
      {"status", is_healthy(view) ? "ok" : "unhealthy"},
      {"timestamp", utc_now()},
      {"service_name", view.service},
      {"version", view.version},
      {"model_loaded", view.registry},
      {"models", view.models},
      {"checks",
       {{"model", view.registry ? "loaded" : "not_loaded"},
        {"batch_processor", view.registry && !view.draining ? "running" : "stopped"}}},
      {"warmup_failures", or_null(view.warmup.failures)},
      {"warmup",
       {{"required", view.warmup.required},
        {"completed", view.warmup.completed || !view.warmup.required},
        {"failures", or_null(view.warmup.failures)},
        {"ok_models", or_null(view.warmup.ok_models)},
        {"capabilities", or_null(view.warmup.capabilities)}}},
      {"chat_batch_queues", queues_json(view.chat_queues)},
      {"embedding_batch_queues", queues_json(view.embedding_queues)},
      {"circuit_breakers", json(view.circuit_breakers)},
      {"runtime_config", view.runtime_config},
  };
  return document.dump();
}

json model_json(const ModelView& model) {
  json out = {{"id", model.id},
              {"object", "model"},
              {"created", model.created},
              {"owned_by", model.owned_by},
              {"capabilities", model.capabilities},
              {"embedding_dimensions", optional_json(model.embedding_dimensions)},
              {"max_model_len", optional_json(model.tokens_max)}};
  if (model.mock) out["mock"] = true;
  return out;
}

std::string models_json(const std::vector<ModelView>& models) {
  json data = json::array();
  for (const auto& model : models) data.push_back(model_json(model));
  return json{{"object", "list"}, {"data", data}}.dump();
}

}  // namespace sis::api
