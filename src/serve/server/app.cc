#include "serve/server/app.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/strings.h"
#include "serve/server/app_impl.h"
#include "serve/server/chat_options.h"
#include "serve/server/model_choice.h"
#include "serve/server/runtime_config.h"
#include "serve/server/score_models.h"

namespace sis::server {
namespace {

// For the errors that end what the drain's budget did not suffice for.
constexpr Duration kLastWords = std::chrono::milliseconds(500);

sigset_t waited_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

Status AppImpl::load() {
  SIS_TRY(pool_.load(
      entries_,
      {.embed =
           [this](const std::string& model) {
             auto& lane = embedding_gate_.add_lane(model, {});
             lanes_[model] = &lane;
             return std::make_unique<EmbedMeter>(metrics_, model, lane, log_.named("sis.model"));
           },
       .chat =
           [this](const std::string& model) {
             auto& lane = chat_gate_.add_lane(model, {.parallel = sequences_max(settings_)});
             lanes_[model] = &lane;
             chat_gate_meter_.add_lane(lane, metrics_.chat(model).queue_rejections);
             auto line = std::make_unique<LineLog>(
                 LineLog::Options{.model = model,
                                  .queue_max = settings_.integer("CHAT_BATCH_QUEUE_SIZE"),
                                  .wait_max = settings_.duration("CHAT_QUEUE_MAX_WAIT_MS")},
                 clock_, log_.named("sis.chat"));
             return std::make_unique<ChatStepMeter>(metrics_, model, lane, token_rate_.tokens(),
                                                    log_.named("sis.model"), std::move(line));
           },
       .keeper = {.on_state = [this](const std::string& model, auto state,
                                     bool opened) { metrics_.breaker_state(model, state, opened); },
                  .on_rebuild =
                      [this](const std::string& model, bool ok) {
                        metrics_.model_rebuilds.with({model, ok ? "ok" : "failed"}).add();
                      }}}));
  for (const auto& breaker : pool_.keeper().breakers())
    metrics_.breaker_state(breaker->name(), breaker->state(), false);
  const auto keep = [this](auto meter) -> auto& {
    auto& kept = *meter;
    meters_.push_back(std::move(meter));
    return kept;
  };
  metrics_.chat_count_pool_size.set(static_cast<double>(settings_.integer("PREP_THREADS")));
  const auto score_observers = [&](const std::string& name) -> api::ScoreRoutes::Observers {
    return {&keep(std::make_unique<ScoreMeter>(metrics_, metrics_.rerank(name))),
            &keep(std::make_unique<ScoreMeter>(metrics_, metrics_.classification(name)))};
  };
  const auto target = [&](const ModelPool::EmbedEntry& entry) -> api::EmbedTarget {
    return {entry.service.get(), lanes_.at(entry.name), entry.breaker};
  };
  for (const auto& entry : pool_.scorers()) {
    scores_.add(score_model(entry), score_observers(entry.name), target(entry));
    embeddings_.add_other(entry.name, keep(std::make_unique<RequestMeter>(metrics_, entry.name)));
    chat_.add_other(entry.name, keep(std::make_unique<ChatRequestMeter>(metrics_, entry.name)));
    texts_.add({.name = entry.name,
                .tokenizer = entry.service->model().tokenizer.get(),
                .tokens_max = entry.service->model().tokens_max});
    if (const auto& uri = settings_.text("MODEL_URI"); !uri.empty())
      if (entry.name == uri || entry.uri == uri) scores_.set_predict_model(entry.name);
  }
  for (const auto& entry : pool_.embedders()) {
    scores_.add(score_model(entry), score_observers(entry.name), target(entry));
    embeddings_.add(entry.name, *entry.service,
                    keep(std::make_unique<RequestMeter>(metrics_, entry.name)),
                    lanes_.at(entry.name), entry.breaker);
    auto& chat_meter = keep(std::make_unique<ChatRequestMeter>(metrics_, entry.name));
    chat_.add_other(entry.name, chat_meter);
    infer_.add(entry.name, {.observer = &chat_meter});
    const auto& model = entry.service->model();
    texts_.add({.name = entry.name,
                .tokenizer = model.tokenizer.get(),
                .templates = model.templates ? &*model.templates : nullptr,
                .tokens_max = model.tokens_max});
  }
  for (const auto& entry : pool_.chats()) {
    auto& meter = keep(std::make_unique<ChatRequestMeter>(metrics_, entry->name));
    const Duration line_max = entry->generator->options().queue_wait_max;
    const api::ChatRoutes::Model routed{
        .service = entry->service.get(),
        .observer = &meter,
        .structured_outputs = entry->structured_outputs,
        .fingerprint = entry->fingerprint,
        .breaker = entry->breaker,
        .lane = lanes_.at(entry->name),
        .line_max = line_max > Duration::zero() ? line_max : Duration::max()};
    chat_.add(entry->name, routed);
    infer_.add(entry->name, routed);
    scores_.add({.name = entry->name}, score_observers(entry->name), {});
    embeddings_.add_other(entry->name, keep(std::make_unique<RequestMeter>(metrics_, entry->name)));
    texts_.add(entry->text);
    metrics_.chat(entry->name).batch_size_max.set(entry->generator->options().sequences_max);
  }
  if (settings_.flag("ENABLE_WARMUP")) {
    warmup_ = pool_.warm();
    const auto show = [&](const auto& models, int workers) {
      for (const auto& [name, capability] : models) {
        const char* executor = capability == "chat-completion" ? "chat-worker" : "embed-worker";
        warmup_workers_.with({name, capability, executor}).set(workers);
        log_.info(workers > 0 ? "warmup_pool_ready" : "warmup_pool_unready",
                  {{"model", name},
                   {"capability", capability},
                   {"executor", executor},
                   {"workers", workers}});
      }
    };
    show(warmup_.warmed, 1);
    show(warmup_.failed, 0);
    if (!warmup_.failures.empty())
      return Error{Code::kInternal, concat("warm-up failed: ", join_list(warmup_.failures))};
  }
  return {};
}

Status AppImpl::run() {
  // Until the models are up a signal ends the process: there is nothing to drain.
  std::atomic<bool> loading{true};
  std::atomic<int> signal_seen{0};
  std::thread signals([&] {
    const sigset_t set = waited_signals();
    for (int count = 0;;) {
      int signal = 0;
      if (sigwait(&set, &signal) != 0) continue;
      if (signal_seen == -1) return;  // run() is over
      if (signal == SIGHUP) {
        reload();
        continue;
      }
      if (loading || ++count > 1) {
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
  Periodic sweeper(
      "sis-sweep", std::chrono::milliseconds(10),
      [this] {
        for (admission::Gate* gate : {&embedding_gate_, &chat_gate_, &text_gate_}) gate->sweep();
        pool_.sweep();
        chat_.sweep();
        cache_->sweep();
        infer_.sweep();
      },
      on_job_failure());
  ready_ = true;
  loading = false;
  announce();
  log_.info("ready",
            {{"models", pool_.embedders().size() + pool_.scorers().size() + pool_.chats().size()}});

  signal_seen.wait(0);
  log_.info("draining", {{"signal", signal_seen.load()}});
  draining_ = true;
  for (admission::Gate* gate : {&embedding_gate_, &chat_gate_, &text_gate_}) gate->close();
  pool_.close();
  const bool drained = http_->drain(settings_.duration("DRAIN_TIMEOUT_SEC"));
  if (!drained) {
    pool_.end_all();
    http_->drain(kLastWords);
  }
  http_->stop();
  log_.info("stopped", {{"drained", drained}});
  end_signals();
  return {};
}

Result<std::unique_ptr<App>> App::create(const Settings& settings, telemetry::Logger log,
                                         ReloadSettings reload) {
  SIS_TRY(check_device(settings));
  SIS_TRY(check_tracing(settings));
  SIS_ASSIGN(const Isa isa, choose_isa(settings));
  // Only a catalog that was asked for has to be there.
  SIS_ASSIGN(const Catalog catalog, load_catalog(settings.text("MODEL_CONFIG_PATH"),
                                                 !settings.is_set("MODEL_CONFIG_PATH")));
  for (const auto& warning : catalog.warnings) log.warning("catalog", {{"warning", warning}});
  ModelChoice choice;
  if (settings.flag("MOCK")) {
    choice.entries = mock_models();
  } else {
    SIS_ASSIGN(choice, choose_models(catalog, settings));
  }
  for (const auto& name : choice.absent) log.warning("demo_model_absent", {{"model", name}});
  auto app = std::make_unique<AppImpl>(settings, std::move(log), std::move(reload), isa,
                                       std::move(choice.entries));
  SIS_TRY(app->bind());
  return std::unique_ptr<App>(std::move(app));
}

void block_signals() {
  signal(SIGPIPE, SIG_IGN);
  const sigset_t set = waited_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace sis::server
