// All parts of the running server and how they hold together. Only the app*.cc files include it.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/task_pool.h"
#include "infer/engine/device_executor.h"
#include "net/http_server.h"
#include "net/redis_client.h"
#include "serve/admission/gate.h"
#include "serve/api/infer/infer.h"
#include "serve/api/openai/chat.h"
#include "serve/api/openai/embeddings.h"
#include "serve/api/ops/health.h"
#include "serve/api/predict/score_routes.h"
#include "serve/api/text/text_routes.h"
#include "serve/api/webhook/webhook.h"
#include "serve/cache/response_cache.h"
#include "serve/server/app.h"
#include "serve/server/app_options.h"
#include "serve/server/catalog.h"
#include "serve/server/device_memory.h"
#include "serve/server/front_door.h"
#include "serve/server/metrics_http.h"
#include "serve/server/metrics_observers.h"
#include "serve/server/model_pool.h"
#include "serve/server/redis_rate_counter.h"
#include "serve/server/router.h"
#include "serve/server/token_rate.h"
#include "serve/server/tracing.h"
#include "telemetry/metrics.h"

namespace sis::server {

class AppImpl final : public App {
 public:
  AppImpl(const Settings& settings, telemetry::Logger log, ReloadSettings reload, Isa isa,
          std::vector<ModelEntry> entries)
      : settings_(settings),
        log_(std::move(log)),
        reload_(std::move(reload)),
        entries_(std::move(entries)),
        metrics_(registry_),
        warmup_workers_(registry_.gauges("warmup_pool_ready_workers", "Workers warmed up.",
                                         {"model", "capability", "executor"})),
        process_metrics_(telemetry::expose_process(registry_)),
        http_metrics_(registry_),
        device_memory_(registry_),
        tracing_(settings, registry_, log_),
        trace_place_{tracing_.tracer(), clock_, log_.named("sis.http"), http_metrics_},
        refusal_meter_(metrics_),
        rate_counter_(clock_, static_cast<size_t>(settings.integer("RATE_LIMIT_CLIENTS_MAX"))),
        front_door_(rate_counter_, clock_, refusal_meter_, log_.named("sis.access"),
                    [this](std::shared_ptr<net::Exchange> exchange) {
                      router_.handle(std::move(exchange));
                    }),
        unknown_observer_(metrics_, kUnknownModel),
        unknown_chat_observer_(metrics_, kUnknownModel),
        cache_meter_(metrics_),
        embedding_gate_(
            gate_options(settings, kEmbeddingGate, !settings.flag("ENABLE_EMBEDDING_BATCHING")),
            clock_, embedding_gate_meter_),
        chat_gate_(gate_options(settings, kChatGate, !settings.flag("ENABLE_CHAT_BATCHING")),
                   clock_, chat_gate_meter_),
        text_gate_(gate_options(settings, kTextGate, /*slots=*/false), clock_, text_gate_meter_),
        unknown_rerank_observer_(metrics_, metrics_.rerank(kUnknownModel)),
        unknown_classify_observer_(metrics_, metrics_.classification(kUnknownModel)),
        chat_(chat_options(settings), chat_gate_, prep_, writers_, clock_, unknown_chat_observer_,
              log_.named("sis.chat")),
        infer_(infer_options(settings), chat_gate_, prep_, writers_, clock_, unknown_chat_observer_,
               log_.named("sis.infer")),
        webhooks_(
            webhook_options(settings), prep_, clock_, unix_seconds,
            [this](const char* result) { metrics_.webhook_events.with({result}).add(); },
            log_.named("sis.webhook")),
        writers_("sis-stream", 1, kPrepQueueMax),
        prep_("sis-prep", static_cast<int>(settings.integer("PREP_THREADS")), kPrepQueueMax),
        executor_({.threads = static_cast<int>(settings.integer("CPU_THREADS")),
                   .isa = isa,
                   .shared_step = settings.duration("DEVICE_SHARED_STEP_MS")},
                  clock_),
        pool_(settings_, executor_, prep_, clock_, log_),
        texts_({.texts_max = settings_.integer("MAX_BATCH_SIZE"),
                .chars_max = settings_.integer("TOKENIZE_MAX_CHARS")},
               settings_.duration("CHAT_PREPARE_TIMEOUT_SEC"), text_gate_, prep_),
        embeddings_(embeddings_options(settings), embedding_gate_, prep_, unknown_observer_,
                    log_.named("sis.embedding")),
        scores_(score_options(settings), embedding_gate_, prep_,
                {&unknown_rerank_observer_, &unknown_classify_observer_}, log_.named("sis.score")) {
  }

  ~AppImpl() override {
    if (http_) http_->stop();
    if (cache_) cache_->close();
    if (redis_) redis_->close();
  }

  Status bind() {
    SIS_TRY(open_cache());
    SIS_ASSIGN(auto rules, load_access_rules(settings_, settings_.flag("MOCK")));
    front_door_.set_rules(std::move(rules));
    add_routes();
    auto server = net::HttpServer::create(
        server_options(settings_), [this](std::shared_ptr<net::Exchange> exchange) {
          front_door_.handle(
              std::make_shared<api::TracedExchange>(std::move(exchange), trace_place_));
        });
    if (!server.ok()) return std::move(server).error();
    http_ = std::move(*server);
    protocol_errors_ = registry_.counter_callback(
        "http_protocol_errors_total", "Requests refused before they had a route.", {},
        [this]() -> std::vector<telemetry::Sample> {
          return {{{}, static_cast<double>(http_->stats().protocol_errors)}};
        });
    return {};
  }

  Status run() override;

 private:
  static constexpr size_t kPrepQueueMax = 4096;

  Status open_cache();
  void add_routes();
  void refresh_gauges();
  Status load();
  void announce() const;
  void reload();
  int wait_for_signal();
  api::HealthView health() const;
  // Those that the client may use.
  std::vector<api::ModelView> model_views(const net::HttpRequest& request) const;
  void serve_model(const std::shared_ptr<net::Exchange>& exchange) const;

  const Settings& settings_;
  const telemetry::Logger log_;
  const ReloadSettings reload_;
  const std::vector<ModelEntry> entries_;
  SteadyClock clock_;
  telemetry::Registry registry_;
  ServerMetrics metrics_;
  telemetry::Family<telemetry::Gauge>& warmup_workers_;
  std::shared_ptr<void> process_metrics_, protocol_errors_;
  HttpMetrics http_metrics_;
  DeviceMemoryMetrics device_memory_;
  Tracing tracing_;                    // outlives whatever answers requests
  const api::TracePlace trace_place_;  // so does this
  RefusalMeter refusal_meter_;
  admission::LocalRateCounter rate_counter_;
  std::unique_ptr<RedisRateCounter> shared_rate_counter_;  // null: each process counts for itself
  FrontDoor front_door_;  // jobs of the pools below may hold requests that came through it
  TokenRate token_rate_;
  RequestMeter unknown_observer_;
  ChatRequestMeter unknown_chat_observer_;
  std::vector<std::unique_ptr<api::RequestObserver>> meters_;
  CacheMeter cache_meter_;
  std::shared_ptr<net::RedisClient> redis_;  // shared with its users; null: none is wanted
  std::unique_ptr<cache::ResponseCache> cache_;
  std::vector<std::shared_ptr<void>> cache_metrics_;
  // Before whom and behind what requests wait; what follows holds places and lanes of these.
  GateMeter embedding_gate_meter_{&metrics_.embedding_queue_rejections};
  GateMeter chat_gate_meter_{&metrics_.embedding_queue_rejections};
  GateMeter text_gate_meter_{&metrics_.embedding_queue_rejections};
  admission::Gate embedding_gate_, chat_gate_, text_gate_;
  std::map<std::string, admission::Lane*> lanes_;  // by model; filled while loading
  ScoreMeter unknown_rerank_observer_, unknown_classify_observer_;
  api::ChatRoutes chat_;  // jobs of the pools below may refer to these until they have ended
  api::InferRoutes infer_;
  api::WebhookRoute webhooks_;
  TaskPool writers_;  // feeds streams
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
