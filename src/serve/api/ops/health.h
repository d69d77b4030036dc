// GET /health, /ready, /, /v1/models: what the server says about itself.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace sis::api {

struct QueueView {
  std::string model;
  int64_t size = 0;
  std::optional<int64_t> size_max;
};

struct WarmupView {
  bool required = true;
  bool completed = false;
  std::vector<std::string> failures;
  std::vector<std::string> ok_models;
  std::map<std::string, std::map<std::string, bool>> capabilities;  // of models actually warmed
};

struct HealthView {
  bool registry = false;  // models are loaded
  bool draining = false;
  std::vector<std::string> models;
  WarmupView warmup;
  std::vector<QueueView> embedding_queues, chat_queues;
  std::map<std::string, std::string> circuit_breakers;  // model: closed, half_open, open
  nlohmann::json runtime_config;
  std::string service = "simple-inference-server", version;
};

bool is_healthy(const HealthView& view);
// One document for all readers; queue depth never affects the status.
std::string health_json(const HealthView& view);

struct ModelView {
  std::string id, owned_by = "local";
  bool mock = false;    // told only when it is one
  int64_t created = 0;  // unix seconds
  std::vector<std::string> capabilities;
  std::optional<int32_t> embedding_dimensions, tokens_max;
};
nlohmann::json model_json(const ModelView& model);
std::string models_json(const std::vector<ModelView>& models);

}  // namespace sis::api
