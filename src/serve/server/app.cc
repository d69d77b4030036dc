#include "serve/server/app.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "base/task_pool.h"
#include "infer/engine/device_executor.h"
#include "net/http_server.h"
#include "serve/api/errors.h"
#include "serve/api/openai/chat.h"
#include "serve/api/openai/embeddings.h"
#include "serve/api/ops/health.h"
#include "serve/api/text/text_routes.h"
#include "serve/server/app_options.h"
#include "serve/server/catalog.h"
#include "serve/server/metrics_observers.h"
#include "serve/server/model_pool.h"
#include "serve/server/router.h"
#include "serve/server/runtime_config.h"
#include "serve/server/token_rate.h"
#include "telemetry/metrics.h"
#include "version.h"

namespace sis::server {
namespace {

constexpr Duration kDrainBudget = std::chrono::seconds(5);
constexpr size_t kPrepQueueMax = 4096;

sigset_t waited_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

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
        chat_(chat_options(settings), prep_, writers_, clock_, unknown_chat_observer_,
              log_.named("sis.chat")),
        writers_("sis-stream", 1, kPrepQueueMax),
        prep_("sis-prep", static_cast<int>(settings.integer("PREP_THREADS")), kPrepQueueMax),
        executor_({.threads = static_cast<int>(settings.integer("CPU_THREADS")), .isa = isa},
                  clock_),
        pool_(settings_, executor_, prep_, clock_, log_),
        texts_(settings_.integer("MAX_BATCH_SIZE"), prep_),
        embeddings_(embeddings_options(settings), prep_, unknown_observer_,
                    log_.named("sis.embedding")) {}

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
  std::vector<std::unique_ptr<api::RequestObserver>> meters_;
  api::ChatRoutes chat_;  // jobs of the pools below may refer to it until they have ended
  TaskPool writers_;      // feeds streams
  TaskPool prep_;
  engine::DeviceExecutor executor_;
  ModelPool pool_;
  api::TextRoutes texts_;
  api::EmbeddingsRoute embeddings_;
  Router router_;
  ModelPool::Warmup warmup_;
  std::atomic<bool> ready_{false},
      draining_{false};  // ready_: the pool and warmup_ no longer change
  std::unique_ptr<net::HttpServer> http_;
};

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
         {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/tokenize",
          "/detokenize", "/apply-template", "/health", "/ready",
          "/metrics"}}}.dump()));
  });
  for (const char* path : {"/health", "/healthz"})
    router_.add("GET", path, [this, json](auto exchange) {
      const auto view = health();
      exchange->respond(json(api::health_json(view), api::is_healthy(view) ? 200 : 503));
    });
  for (const char* path : {"/live", "/livez"})
    router_.add("GET", path,
                [json](auto exchange) { exchange->respond(json(R"({"status":"alive"})")); });
  for (const char* path : {"/ready", "/readyz"})
    router_.add("GET", path, [this, json](auto exchange) {
      if (ready_ && !draining_) return exchange->respond(json(R"({"status":"ready"})"));
      exchange->respond(
          json(draining_ ? R"({"status":"draining"})" : R"({"status":"loading"})", 503));
    });
  for (const char* path : {"/metrics", "/metrics/"})
    router_.add("GET", path, [this](auto exchange) {
      if (!settings_.flag("ENABLE_METRICS"))
        return exchange->respond(api::status_response(404, "metrics are off (ENABLE_METRICS=0)"));
      refresh_gauges();
      auto exposition = registry_.expose(exchange->request().header("Accept"));
      exchange->respond(
          {.content_type = std::move(exposition.content_type), .body = std::move(exposition.body)});
    });
  router_.add("GET", "/v1/models", [this, json](auto exchange) {
    exchange->respond(json(api::models_json(model_views())));
  });
  router_.add("GET", "/v1/models/*", [this](auto exchange) { serve_model(exchange); });
  const auto when_ready = [this](auto handle) {
    return [this, handle](std::shared_ptr<net::Exchange> exchange) {
      if (ready_ && !draining_) return handle(std::move(exchange));
      exchange->respond(
          api::error_response({Code::kUnavailable, draining_ ? "the server is shutting down"
                                                             : "the models are still loading"},
                              std::chrono::seconds(1)));
    };
  };
  router_.add("POST", "/v1/embeddings",
              when_ready([this](auto exchange) { embeddings_.handle(std::move(exchange)); }));
  router_.add("POST", "/v1/chat/completions",
              when_ready([this](auto exchange) { chat_.chat(std::move(exchange)); }));
  router_.add("POST", "/v1/completions",
              when_ready([this](auto exchange) { chat_.completions(std::move(exchange)); }));
  router_.add("POST", "/tokenize",
              when_ready([this](auto exchange) { texts_.tokenize(std::move(exchange)); }));
  for (const char* path : {"/detokenize", "/decode"})
    router_.add("POST", path,
                when_ready([this](auto exchange) { texts_.detokenize(std::move(exchange)); }));
  router_.add("POST", "/apply-template",
              when_ready([this](auto exchange) { texts_.apply_template(std::move(exchange)); }));
}

// Levels are read when somebody looks.
void AppImpl::refresh_gauges() {
  int64_t depth = 0, active = 0;
  if (ready_) {
    for (const auto& entry : pool_.embedders()) {
      const int64_t queued = entry.service->requests_queued();
      metrics_.embedding(entry.name).batch_queue_size.set(static_cast<double>(queued));
      depth += queued;
    }
    for (const auto& entry : pool_.chats()) {
      const auto gauges = entry->generator->gauges();
      ChatMetrics& metrics = metrics_.chat(entry->name);
      metrics.batch_queue_size.set(gauges.waiting);
      metrics.running.set(gauges.running);
      metrics.kv_blocks_total.set(gauges.blocks_total);
      metrics.kv_blocks_used.set(gauges.blocks_used);
      metrics.kv_blocks_cached.set(gauges.blocks_cached);
      depth += gauges.waiting;
      active += gauges.running > 0;
    }
  }
  metrics_.queue_depth.set(static_cast<double>(depth));
  metrics_.active_batches.set(static_cast<double>(active));
  metrics_.tokens_per_second.set(token_rate_.per_second(clock_.now()));
  metrics_.active_connections.set(static_cast<double>(http_->stats().connections_open));
}

api::HealthView AppImpl::health() const {
  api::HealthView view;
  view.registry = ready_;
  view.draining = draining_;
  view.version = SIS_VERSION;
  view.service =
      settings_.text("SERVICE_NAME").empty() ? view.service : settings_.text("SERVICE_NAME");
  view.warmup.required = settings_.flag("ENABLE_WARMUP");
  view.runtime_config = runtime_config(settings_);
  if (!ready_) return view;
  view.warmup.completed = true;
  for (const auto& entry : pool_.embedders()) {
    view.models.push_back(entry.name);
    view.embedding_queues.push_back({entry.name, entry.service->requests_queued(),
                                     entry.service->options().queue_requests_max});
    view.warmup.ok_models.push_back(entry.name);
  }
  for (const auto& entry : pool_.chats()) {
    view.models.push_back(entry->name);
    view.chat_queues.push_back({entry->name, entry->generator->gauges().waiting,
                                entry->generator->options().queue_requests_max});
    view.warmup.ok_models.push_back(entry->name);
  }
  for (const auto& [name, capability] : warmup_.warmed)
    view.warmup.capabilities[name][capability] = true;
  return view;
}

std::vector<api::ModelView> AppImpl::model_views() const {
  std::vector<api::ModelView> views;
  if (!ready_) return views;
  for (const auto& entry : pool_.embedders())
    views.push_back({.id = entry.name,
                     .created = entry.loaded_at,
                     .capabilities = capabilities(ModelKind::kEmbedding),
                     .embedding_dimensions = entry.service->model().dimensions(),
                     .tokens_max = entry.service->model().tokens_max});
  for (const auto& entry : pool_.chats())
    views.push_back({.id = entry->name,
                     .created = entry->loaded_at,
                     .capabilities = capabilities(ModelKind::kChat),
                     .tokens_max = entry->text.tokens_max});
  return views;
}

void AppImpl::serve_model(const std::shared_ptr<net::Exchange>& exchange) const {
  const std::string id = exchange->request().path.substr(std::string_view("/v1/models/").size());
  for (const auto& view : model_views())
    if (view.id == id) return exchange->respond({.body = api::model_json(view).dump()});
  exchange->respond(
      api::error_response({Code::kNotFound, concat("model ", in_quotes(id), " is not loaded"),
                           "model", "model_not_found"}));
}

Status AppImpl::load() {
  SIS_TRY(pool_.load(entries_, {.embed =
                                    [this](const std::string& model) {
                                      return std::make_unique<EmbedMeter>(metrics_, model);
                                    },
                                .chat =
                                    [this](const std::string& model) {
                                      return std::make_unique<ChatStepMeter>(metrics_, model,
                                                                             token_rate_.tokens());
                                    }}));
  const auto keep = [this](auto meter) -> auto& {
    auto& kept = *meter;
    meters_.push_back(std::move(meter));
    return kept;
  };
  metrics_.chat_count_pool_size.set(static_cast<double>(settings_.integer("PREP_THREADS")));
  for (const auto& entry : pool_.embedders()) {
    embeddings_.add(entry.name, *entry.service,
                    keep(std::make_unique<RequestMeter>(metrics_, entry.name)));
    chat_.add_other(entry.name, keep(std::make_unique<ChatRequestMeter>(metrics_, entry.name)));
    const auto& model = entry.service->model();
    texts_.add({.name = entry.name,
                .tokenizer = model.tokenizer.get(),
                .templates = model.templates ? &*model.templates : nullptr,
                .tokens_max = model.tokens_max});
  }
  for (const auto& entry : pool_.chats()) {
    chat_.add(entry->name,
              {.service = entry->service.get(),
               .observer = &keep(std::make_unique<ChatRequestMeter>(metrics_, entry->name)),
               .structured_outputs = entry->structured_outputs,
               .fingerprint = entry->fingerprint});
    embeddings_.add_other(entry->name, keep(std::make_unique<RequestMeter>(metrics_, entry->name)));
    texts_.add(entry->text);
    metrics_.chat(entry->name).batch_size_max.set(entry->generator->options().sequences_max);
  }
  if (settings_.flag("ENABLE_WARMUP")) {
    warmup_ = pool_.warm();
    if (!warmup_.failures.empty())
      return Error{Code::kInternal, concat("warm-up failed: ", join_list(warmup_.failures))};
    for (const auto& [name, capability] : warmup_.warmed)
      warmup_workers_
          .with({name, capability, capability == "text-embedding" ? "embed-worker" : "chat-worker"})
          .set(1);
  }
  return {};
}

void AppImpl::announce() const {
  const std::string host =
      settings_.text("HOST") == "0.0.0.0" ? "localhost" : settings_.text("HOST");
  const char* scheme = settings_.text("TLS_CERT_FILE").empty() ? "http" : "https";
  std::fprintf(stderr, "sis %s on %s://%s:%d, cpu %s, %d threads\n", SIS_VERSION, scheme,
               host.c_str(), http_->port(), isa_name(executor_.isa()), executor_.threads());
  for (const auto& entry : pool_.embedders()) {
    const auto& info = entry.service->model().encoder->info();
    std::fprintf(stderr, "  %s: %s, %d dimensions, %s\n", entry.name.c_str(), info.family.c_str(),
                 entry.service->model().dimensions(), info.kernels.c_str());
  }
  for (const auto& entry : pool_.chats()) {
    const auto& info = entry->model.decoder->info();
    std::fprintf(stderr, "  %s: %s, context %d, cache of %lld tokens (%lld MiB), %s\n",
                 entry->name.c_str(), info.family.c_str(), entry->text.tokens_max,
                 static_cast<long long>(entry->cache.tokens),
                 static_cast<long long>(entry->cache.bytes >> 20), info.kernels.c_str());
  }
  if (!pool_.chats().empty())
    std::fprintf(stderr,
                 "try: curl %s://%s:%d/v1/chat/completions -H 'Content-Type: application/json' -d "
                 "'{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n",
                 scheme, host.c_str(), http_->port(), pool_.chats().front()->name.c_str());
  if (!pool_.embedders().empty())
    std::fprintf(stderr,
                 "try: curl %s://%s:%d/v1/embeddings -H 'Content-Type: application/json' -d "
                 "'{\"model\":\"%s\",\"input\":\"hello world\"}'\n",
                 scheme, host.c_str(), http_->port(), pool_.embedders().front().name.c_str());
}

Status AppImpl::run() {
  // Until the models are up a signal ends the process: there is nothing to drain.
  std::atomic<bool> loading{true};
  std::atomic<int> signal_seen{0};
  std::thread signals([&] {
    const sigset_t set = waited_signals();
    for (int count = 1;; ++count) {
      int signal = 0;
      if (sigwait(&set, &signal) != 0) continue;
      if (signal_seen == -1) return;  // run() is over
      if (loading || count > 1) {
        log_.warning("shutdown_now", {{"signal", signal}});
        log_.flush();
        _exit(128 + signal);
      }
      signal_seen = signal;
      signal_seen.notify_all();
    }
  });
  const auto end_signals = [&] {
    signal_seen = -1;
    pthread_kill(signals.native_handle(), SIGTERM);
    signals.join();
  };

  http_->start();
  log_.info("listening", {{"address", settings_.text("HOST")}, {"port", http_->port()}});
  log_.info("runtime_config", {{"config", runtime_config(settings_).dump()},
                               {"isa", isa_name(executor_.isa())},
                               {"threads", executor_.threads()}});
  if (auto status = load(); !status.ok()) {
    end_signals();
    return status;
  }
  Periodic sweeper("sis-sweep", std::chrono::milliseconds(10), [this] {
    pool_.sweep();
    chat_.sweep();
  });
  ready_ = true;
  loading = false;
  announce();
  log_.info("ready", {{"models", pool_.embedders().size() + pool_.chats().size()}});

  signal_seen.wait(0);
  log_.info("draining", {{"signal", signal_seen.load()}});
  draining_ = true;
  pool_.close();
  const TimePoint until = clock_.now() + kDrainBudget;
  const bool drained = http_->drain(until - clock_.now());
  http_->stop();
  log_.info("stopped", {{"drained", drained}});
  end_signals();
  return {};
}

}  // namespace

Result<std::unique_ptr<App>> App::create(const Settings& settings, telemetry::Logger log) {
  SIS_TRY(check_device(settings));
  SIS_ASSIGN(const Isa isa, choose_isa(settings));
  // Only a catalog that was asked for has to be there.
  SIS_ASSIGN(const Catalog catalog, load_catalog(settings.text("MODEL_CONFIG_PATH"),
                                                 !settings.is_set("MODEL_CONFIG_PATH")));
  for (const auto& warning : catalog.warnings) log.warning("catalog", {{"warning", warning}});
  SIS_ASSIGN(auto entries, select_models(catalog, settings.list("MODELS")));
  auto app = std::make_unique<AppImpl>(settings, std::move(log), isa, std::move(entries));
  SIS_TRY(app->bind());
  return std::unique_ptr<App>(std::move(app));
}

void block_signals() {
  signal(SIGPIPE, SIG_IGN);
  const sigset_t set = waited_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace sis::server
