// What the server tells about itself: gauges, /health, /v1/models, the lines at start.
#include <cstdio>

#include "base/strings.h"
#include "serve/api/client.h"
#include "serve/api/errors.h"
#include "serve/server/app_impl.h"
#include "serve/server/runtime_config.h"
#include "serve/server/score_models.h"
#include "version.h"

namespace sis::server {

// Levels are read when somebody looks.
void AppImpl::refresh_gauges() {
  int64_t depth = 0, active = 0;
  if (ready_) {
    device_memory_.refresh(pool_);
    for (const auto* entries : {&pool_.embedders(), &pool_.scorers()})
      for (const auto& entry : *entries) {
        const int64_t queued = entry.service->requests_queued();
        metrics_.embedding(entry.name).batch_queue_size.set(static_cast<double>(queued));
        depth += queued;
        active += entry.service->is_computing();
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
  for (const auto* entries : {&pool_.embedders(), &pool_.scorers()})
    for (const auto& entry : *entries) {
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
  // Without batching there is no line that requests of several clients stand in.
  if (!settings_.flag("ENABLE_CHAT_BATCHING")) view.chat_queues.clear();
  for (auto* names : {&view.models, &view.warmup.ok_models})
    in_load_order(
        *names, [](const std::string& name) -> auto& { return name; });
  for (const auto& breaker : pool_.keeper().breakers())
    view.circuit_breakers[breaker->name()] = admission::breaker_state_name(breaker->state());
  for (const auto& [name, capability] : warmup_.warmed)
    view.warmup.capabilities[name][capability] = true;
  return view;
}

std::vector<api::ModelView> AppImpl::model_views(const net::HttpRequest& request) const {
  std::vector<api::ModelView> views;
  if (!ready_) return views;
  for (const auto& entry : pool_.embedders())
    views.push_back({.id = entry.name,
                     .owned_by = entry.mock ? "mock" : "local",
                     .mock = entry.mock,
                     .created = entry.loaded_at,
                     .capabilities = capabilities(ModelKind::kEmbedding),
                     .embedding_dimensions = entry.service->model().dimensions(),
                     .tokens_max = entry.service->model().tokens_max});
  for (const auto& entry : pool_.chats())
    views.push_back({.id = entry->name,
                     .owned_by = entry->mock ? "mock" : "local",
                     .mock = entry->mock,
                     .created = entry->loaded_at,
                     .capabilities = capabilities(ModelKind::kChat),
                     .tokens_max = entry->text.tokens_max});
  for (const auto& entry : pool_.scorers())
    views.push_back({.id = entry.name,
                     .created = entry.loaded_at,
                     .capabilities = score_capabilities(entry),
                     .tokens_max = entry.service->model().tokens_max});
  in_load_order(
      views, [](const api::ModelView& view) -> auto& { return view.id; });
  if (const auto* client = api::client_of(request))
    std::erase_if(views, [&](const auto& view) { return !client->may_see_model(view.id); });
  return views;
}

void AppImpl::serve_model(const std::shared_ptr<net::Exchange>& exchange) const {
  const std::string id = exchange->request().path.substr(std::string_view("/v1/models/").size());
  for (const auto& view : model_views(exchange->request()))
    if (view.id == id) return exchange->respond({.body = api::model_json(view).dump()});
  exchange->respond(
      api::error_response({Code::kNotFound, concat("model ", in_quotes(id), " is not loaded"),
                           "model", "model_not_found"}));
}

void AppImpl::announce() const {
  std::string host = settings_.text("HOST") == "0.0.0.0" ? "localhost" : settings_.text("HOST");
  if (host.find(':') != std::string::npos) host = concat("[", host, "]");
  const char* scheme = settings_.text("TLS_CERT_FILE").empty() ? "http" : "https";
  std::fprintf(stderr, "sis %s on %s://%s:%d, cpu %s, %d threads\n", SIS_VERSION, scheme,
               host.c_str(), http_->port(), isa_name(executor_.isa()), executor_.threads());
  const bool beyond_this_machine = settings_.text("HOST") != "localhost" &&
                                   !settings_.text("HOST").starts_with("127.") &&
                                   settings_.text("HOST") != "::1";
  if (!front_door_.rules()->keys_required && beyond_this_machine) {
    log_.warning("open_to_everybody", {{"address", settings_.text("HOST")}});
    std::fprintf(stderr, "  no API keys: whoever reaches %s:%d may use everything (see API_KEYS)\n",
                 settings_.text("HOST").c_str(), http_->port());
  }
  for (const auto& entry : pool_.embedders()) {
    const auto& info = entry.service->model().encoder->info();
    std::fprintf(stderr, "  %s: %s, %d dimensions, %s\n", entry.name.c_str(), info.family.c_str(),
                 entry.service->model().dimensions(), info.kernels.c_str());
  }
  for (const auto& entry : pool_.scorers()) {
    const auto& model = entry.service->model();
    const auto& labels = model.head.config().labels;
    std::fprintf(
        stderr, "  %s: %s, %s, %s\n", entry.name.c_str(), model.encoder->info().family.c_str(),
        entry.kind == ModelKind::kRerank ? "reranks" : concat("labels ", join_list(labels)).c_str(),
        model.encoder->info().kernels.c_str());
  }
  for (const auto& entry : pool_.chats()) {
    const auto& info = entry->model.decoder->info();
    std::fprintf(stderr, "  %s: %s, context %d, cache of %lld tokens (%lld MiB), %s\n",
                 entry->name.c_str(), info.family.c_str(), entry->text.tokens_max,
                 static_cast<long long>(entry->cache.tokens),
                 static_cast<long long>(entry->cache.bytes >> 20), info.kernels.c_str());
  }
  const auto say_mock = [](const std::string& name) {
    std::fprintf(stderr, "  %s is a MOCK: its answers are made up, its times are set\n",
                 name.c_str());
  };
  for (const auto& entry : pool_.embedders())
    if (entry.mock) say_mock(entry.name);
  for (const auto& entry : pool_.chats())
    if (entry->mock) say_mock(entry->name);
  const auto suggest = [&](const char* path, const nlohmann::ordered_json& body) {
    std::fprintf(stderr, "try: curl %s://%s:%d%s -H 'Content-Type: application/json' -d '%s'\n",
                 scheme, host.c_str(), http_->port(), path, body.dump().c_str());
  };
  if (!pool_.chats().empty())
    suggest("/v1/chat/completions", {{"model", pool_.chats().front()->name},
                                     {"messages", {{{"role", "user"}, {"content", "hello"}}}}});
  if (!pool_.embedders().empty())
    suggest("/v1/embeddings",
            {{"model", pool_.embedders().front().name}, {"input", "hello world"}});
  for (const auto& entry : pool_.scorers())
    if (score_model(entry).classifies) {
      suggest("/predict", {{"text", "The bread was warm and the staff were kind."}});
      break;
    }
  for (const auto& entry : pool_.scorers())
    if (score_model(entry).ranks) {
      suggest(
          "/v1/rerank",
          {{"model", entry.name},
           {"query", "fix a dripping tap"},
           {"documents", {"Replace the washer inside the faucet.", "The train leaves at nine."}}});
      break;
    }
}

}  // namespace sis::server
