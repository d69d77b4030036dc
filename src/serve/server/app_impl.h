// All parts of the running server and how they hold together. Only the app*.cc files include it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/task_pool.h"
#include "infer/engine/device_executor.h"
#include "net/http_server.h"
#include "serve/api/openai/chat.h"
#include "serve/api/openai/embeddings.h"
#include "serve/api/ops/health.h"
#include "serve/api/predict/score_routes.h"
#include "serve/api/text/text_routes.h"
#include "serve/server/app.h"
#include "serve/server/app_options.h"
#include "serve/server/catalog.h"
#include "serve/server/metrics_observers.h"
#include "serve/server/model_pool.h"
#include "serve/server/router.h"
#include "serve/server/token_rate.h"
#include "telemetry/metrics.h"

namespace sis::server {

class AppImpl final : public App {
 public:
  AppImpl(const Settings& settings, telemetry::Logger log, Isa isa, std::vector<ModelEntry> entries)
      : settings_(settings),
        log_(std::move(log)),
        entries_(std::move(entries)),
        metrics_(registry_),
        warmup_workers_(registry_.gauges("warmup_pool_ready_workers", "Workers warmed up.",
                                         {"model", "capability", "executor"})),
        process_metrics_(telemetry::expose_process(registry_)),
        unknown_observer_(metrics_, kUnknownModel),
        unknown_chat_observer_(metrics_, kUnknownModel),
        unknown_rerank_observer_(metrics_, metrics_.rerank(kUnknownModel)),
        unknown_classify_observer_(metrics_, metrics_.classification(kUnknownModel)),
        chat_(chat_options(settings), prep_, writers_, clock_, unknown_chat_observer_,
              log_.named("sis.chat")),
        writers_("sis-stream", 1, kPrepQueueMax),
        prep_("sis-prep", static_cast<int>(settings.integer("PREP_THREADS")), kPrepQueueMax),
        executor_({.threads = static_cast<int>(settings.integer("CPU_THREADS")), .isa = isa},
                  clock_),
        pool_(settings_, executor_, prep_, clock_, log_),
        texts_(settings_.integer("MAX_BATCH_SIZE"), prep_),
        embeddings_(embeddings_options(settings), prep_, unknown_observer_,
                    log_.named("sis.embedding")),
        scores_(score_options(settings), prep_,
                {&unknown_rerank_observer_, &unknown_classify_observer_}, log_.named("sis.score")) {
  }

  ~AppImpl() override {
    if (http_) http_->stop();
  }

  Status bind() {
    add_routes();
    auto server = net::HttpServer::create(
        server_options(settings_),
        [this](std::shared_ptr<net::Exchange> exchange) { router_.handle(std::move(exchange)); });
    if (!server.ok()) return std::move(server).error();
    http_ = std::move(*server);
    return {};
  }

  Status run() override;

 private:
  static constexpr size_t kPrepQueueMax = 4096;

  void add_routes();
  void refresh_gauges();
  Status load();
  void announce() const;
  int wait_for_signal();
  api::HealthView health() const;
  std::vector<api::ModelView> model_views() const;
  void serve_model(const std::shared_ptr<net::Exchange>& exchange) const;

  const Settings& settings_;
  const telemetry::Logger log_;
  const std::vector<ModelEntry> entries_;
  SteadyClock clock_;
  telemetry::Registry registry_;
  ServerMetrics metrics_;
  telemetry::Family<telemetry::Gauge>& warmup_workers_;
  std::shared_ptr<void> process_metrics_;
  TokenRate token_rate_;
  RequestMeter unknown_observer_;
  ChatRequestMeter unknown_chat_observer_;
  ScoreMeter unknown_rerank_observer_, unknown_classify_observer_;
  std::vector<std::unique_ptr<api::RequestObserver>> meters_;
  api::ChatRoutes chat_;  // jobs of the pools below may refer to it until they have ended
  TaskPool writers_;      // feeds streams
  TaskPool prep_;
  engine::DeviceExecutor executor_;
  ModelPool pool_;
  api::TextRoutes texts_;
  api::EmbeddingsRoute embeddings_;
  api::ScoreRoutes scores_;
  Router router_;
  ModelPool::Warmup warmup_;
  std::atomic<bool> ready_{false},
      draining_{false};  // ready_: the pool and warmup_ no longer change
  std::unique_ptr<net::HttpServer> http_;
};

}  // namespace sis::server
