// The models of this process: which ones the settings name, loaded, warmed and taken down together.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/settings.h"
#include "base/task_pool.h"
#include "infer/engine/device_executor.h"
#include "serve/server/catalog.h"
#include "serve/server/chat_models.h"
#include "serve/tasks/embed.h"
#include "telemetry/log.h"

namespace sis::server {

class ModelPool {
 public:
  struct EmbedEntry {
    std::string name;
    ModelKind kind = ModelKind::kEmbedding;  // kClassification, kRerank: its vectors are logits
    std::string uri, version;                // of classifiers and rerankers
    int64_t loaded_at = 0;                   // unix seconds
    bool mock = false;
    admission::Breaker* breaker = nullptr;  // the keeper's
    std::unique_ptr<tasks::EmbedObserver> observer;
    std::unique_ptr<tasks::EmbedService> service;
  };

  ModelPool(const Settings& settings, engine::DeviceExecutor& executor, TaskPool& prep,
            const Clock& clock, telemetry::Logger log)
      : settings_(settings),
        executor_(executor),
        prep_(prep),
        clock_(clock),
        log_(std::move(log)),
        keeper_({.failures_max =
                     static_cast<int32_t>(settings.integer("CIRCUIT_BREAKER_FAILURE_THRESHOLD")),
                 .open_time = settings.duration("CIRCUIT_BREAKER_TIMEOUT_SEC")},
                executor, clock, log_) {}
  ~ModelPool() { keeper_.stop(); }  // before the models it would rebuild

  // Make what hears about one model's lookups and batches, or its steps.
  struct MakeObservers {
    std::function<std::unique_ptr<tasks::EmbedObserver>(const std::string& model)> embed;
    std::function<std::unique_ptr<engine::GeneratorObserver>(const std::string& model)> chat;
    KeeperHooks keeper;
  };
  Status load(const std::vector<ModelEntry>& entries, const MakeObservers& observers);

  struct Warmup {
    struct Model {
      std::string name, capability;
    };
    std::vector<Model> warmed, failed;
    std::vector<std::string> failures;  // "name: reason"
  };
  Warmup warm();

  void sweep();
  void close();       // refuses new requests; what is admitted runs on
  void end_all();     // answers what is open with kUnavailable, too
  bool idle() const;  // nothing admitted is unanswered
  const std::vector<EmbedEntry>& embedders() const { return embedders_; }
  // Classifiers and rerankers.
  const std::vector<EmbedEntry>& scorers() const { return scorers_; }
  const std::vector<std::unique_ptr<ChatEntry>>& chats() const { return chats_; }
  const ModelKeeper& keeper() const { return keeper_; }

 private:
  // Embedders, classifiers and rerankers: an encoder and its head.
  Status load_encoder(const ModelEntry& entry, const MakeObservers& observers);
  Status load_chat(const ModelEntry& entry, const MakeObservers& observers);
  Result<tasks::EmbedModel> load_embed(const ModelEntry& entry, const std::string& folder);
  Result<std::string> folder_of(const ModelEntry& entry) const;  // empty for a mock
  bool warms(const std::string& name) const;
  std::string warm_encoder(const EmbedEntry& entry);

  const Settings& settings_;
  engine::DeviceExecutor& executor_;
  TaskPool& prep_;
  const Clock& clock_;
  const telemetry::Logger log_;
  ModelKeeper keeper_;  // outlives the models it guards
  std::vector<EmbedEntry> embedders_, scorers_;
  std::vector<std::unique_ptr<ChatEntry>> chats_;
};

}  // namespace sis::server
