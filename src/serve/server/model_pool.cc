#include "serve/server/model_pool.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/strings.h"
#include "infer/models/mock/mock.h"
#include "serve/server/embed_loader.h"
#include "serve/server/mock_loader.h"
#include "serve/server/model_choice.h"
#include "serve/server/model_folder.h"
#include "serve/server/score_models.h"
#include "serve/server/text_loader.h"

namespace sis::server {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// The catalog's word, else the checkpoint's own (nullopt), else what is usual for the repository.
std::optional<ops::Pooling> pooling_of(const ModelEntry& entry, const std::string& folder) {
  if (!entry.pooling && std::filesystem::exists(folder + "/modules.json")) return std::nullopt;
  switch (entry.pooling ? *entry.pooling : default_pooling(entry)) {
    case ModelPooling::kCls:
      return ops::Pooling::kCls;
    case ModelPooling::kMean:
      return ops::Pooling::kMean;
    case ModelPooling::kLastToken:
      return ops::Pooling::kLast;
    case ModelPooling::kMax:
      return ops::Pooling::kMax;
  }
  return std::nullopt;
}

EmbedHead head_of(ModelKind kind) {
  if (kind == ModelKind::kClassification) return EmbedHead::kClassification;
  return kind == ModelKind::kRerank ? EmbedHead::kRerank : EmbedHead::kEmbedding;
}

}  // namespace

Status ModelPool::load(const std::vector<ModelEntry>& entries, const MakeObservers& observers) {
  keeper_.set_hooks(observers.keeper);
  for (const auto& entry : entries) {
    if (entry.kind == ModelKind::kEmbedding || entry.kind == ModelKind::kClassification ||
        entry.kind == ModelKind::kRerank) {
      SIS_TRY(load_encoder(entry, observers));
    } else if (entry.kind == ModelKind::kChat) {
      SIS_TRY(load_chat(entry, observers));
    } else {
      return Error{Code::kInvalidArgument,
                   concat("MODELS: ", in_quotes(entry.name), " is a ", model_kind_name(entry.kind),
                          " model; this version serves embedding, classification, rerank and chat"
                          " models only")};
    }
  }
  return {};
}

Result<std::string> ModelPool::folder_of(const ModelEntry& entry) const {
  if (entry.mock) return std::string();
  return resolve_model_folder(entry, model_places(settings_));
}

Status ModelPool::load_chat(const ModelEntry& entry, const MakeObservers& observers) {
  SIS_ASSIGN(const std::string folder, folder_of(entry));
  SIS_ASSIGN(auto chat, start_chat_model(entry, folder, observers.chat(entry.name),
                                         {.settings = settings_,
                                          .executor = executor_,
                                          .prep = prep_,
                                          .clock = clock_,
                                          .log = log_,
                                          .keeper = keeper_}));
  chats_.push_back(std::move(chat));
  return {};
}

// The model, guarded.
Result<tasks::EmbedModel> ModelPool::load_embed(const ModelEntry& entry,
                                                const std::string& folder) {
  tasks::EmbedModel model;
  ModelKeeper::LoadAgain<nn::Encoder> load_again;
  if (entry.mock) {
    auto options = mock_options(entry, settings_);
    SIS_ASSIGN(model, make_mock_embed_model(entry, options, executor_));
    load_again = [options]() mutable -> Result<std::unique_ptr<nn::Encoder>> {
      ++options.seed;  // other failures than the last time
      return models::make_mock_encoder(options);
    };
  } else {
    const EmbedLoadOptions options{
        .name = entry.name,
        .folder = folder,
        .head = head_of(entry.kind),
        .dtype = entry.dtype == ModelDtype::kAuto ? settings_.text("DTYPE")
                                                  : model_dtype_name(entry.dtype),
        .pooling = entry.kind == ModelKind::kEmbedding ? pooling_of(entry, folder) : std::nullopt,
        .any_dimensions = entry.matryoshka,
        .dimensions_allowed = {entry.dimensions.begin(), entry.dimensions.end()}};
    SIS_ASSIGN(model, load_embed_model(options, executor_));
    SIS_TRY(check_selftest(settings_.text("SELFTEST"), entry.name, folder, *model.tokenizer,
                           model.templates ? &*model.templates : nullptr, log_));
    load_again = [this, options] { return server::load_encoder(options, executor_); };
  }
  model.encoder = keeper_.guard(entry.name, std::move(model.encoder), std::move(load_again));
  return model;
}

Status ModelPool::load_encoder(const ModelEntry& entry, const MakeObservers& observers) {
  const auto begin = clock_.now();
  SIS_ASSIGN(const std::string folder, folder_of(entry));
  SIS_ASSIGN(auto model, load_embed(entry, folder));
  const auto& info = model.encoder->info();
  log_.info("model_loaded", {{"model", entry.name},
                             {"folder", folder},
                             {"family", info.family},
                             {"kernels", info.kernels},
                             {"dimensions", model.dimensions()},
                             {"tokens_max", model.tokens_max},
                             {"weights_bytes", info.weights_bytes},
                             {"load_ms", to_ms(clock_.now() - begin)}});

  EmbedEntry loaded{.name = entry.name, .kind = entry.kind};
  loaded.mock = entry.mock.has_value();
  loaded.breaker = &keeper_.breaker(entry.name);
  if (entry.kind != ModelKind::kEmbedding) {
    loaded.uri = entry.hf_repo_id.empty() ? entry.name : entry.hf_repo_id;
    loaded.version = folder_version(folder);
  }
  loaded.loaded_at = std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  loaded.observer = observers.embed(entry.name);
  const tasks::EmbedOptions options{
      .queue = {.window = settings_.duration("EMBEDDING_BATCH_WINDOW_MS"),
                .texts_max =
                    static_cast<int32_t>(settings_.integer("EMBEDDING_BATCH_WINDOW_MAX_SIZE")),
                .tokens_max = static_cast<int32_t>(settings_.integer("EMBEDDING_BATCH_MAX_TOKENS")),
                .batching = settings_.flag("ENABLE_EMBEDDING_BATCHING")},
      .queue_requests_max = static_cast<int32_t>(settings_.integer("EMBEDDING_BATCH_QUEUE_SIZE")),
      .queue_room_timeout = settings_.duration("EMBEDDING_BATCH_QUEUE_TIMEOUT_SEC"),
      .timeout = settings_.duration("EMBEDDING_GENERATE_TIMEOUT_SEC"),
      .cache_entries = static_cast<size_t>(settings_.integer("EMBEDDING_CACHE_SIZE"))};
  loaded.service = std::make_unique<tasks::EmbedService>(std::move(model), options, executor_,
                                                         prep_, clock_, *loaded.observer);
  (entry.kind == ModelKind::kEmbedding ? embedders_ : scorers_).push_back(std::move(loaded));
  return {};
}

bool ModelPool::warms(const std::string& name) const {
  const auto& only = settings_.list("WARMUP_ALLOWLIST");
  const auto& skip = settings_.list("WARMUP_SKIPLIST");
  if ((only.empty() || contains(only, name)) && !contains(skip, name)) return true;
  log_.info("warmup_skip", {{"model", name}});
  return false;
}

// What went wrong; empty: nothing.
std::string ModelPool::warm_encoder(const EmbedEntry& entry) {
  const auto& model = entry.service->model();
  const auto ids =
      model.tokenizer->encode(model.prompt + "warm up", {.tokens_max = model.tokens_max}).ids;
  std::vector<int32_t> flat, offsets{0};
  for (int64_t i = 0; i < std::max<int64_t>(1, settings_.integer("WARMUP_BATCH_SIZE")); ++i) {
    flat.insert(flat.end(), ids.begin(), ids.end());
    offsets.push_back(static_cast<int32_t>(flat.size()));
  }
  std::string failure;
  const auto ran = executor_.try_call([&](ops::Context& context) -> Status {
    const auto vectors = tasks::embed_batch(model, context, {.ids = flat, .offsets = offsets});
    for (int64_t r = 0; r < vectors.rows; ++r)
      for (int64_t c = 0; c < vectors.cols; ++c)
        if (!std::isfinite(vectors.at(r, c)))
          failure = "its vectors hold values that are not numbers";
    return {};
  });
  return ran.ok() ? failure : ran.error().message;
}

ModelPool::Warmup ModelPool::warm() {
  Warmup result;
  const auto run = [&](const std::string& name, const char* capability, auto once) {
    if (!warms(name)) return;
    const int64_t steps = std::max<int64_t>(1, settings_.integer("WARMUP_STEPS"));
    log_.info("warmup_plan",
              {{"model", name}, {"capability", capability}, {"steps", steps}, {"workers", 1}});
    std::string failure;
    for (int64_t step = 0; step < steps && failure.empty(); ++step) {
      const auto begin = clock_.now();
      failure = once();
      if (failure.empty())
        log_.info(
            "warmup_step_ok",
            {{"model", name}, {"step", step + 1}, {"latency_ms", to_ms(clock_.now() - begin)}});
    }
    if (failure.empty()) {
      log_.info("warmup_ok", {{"model", name}});
      result.warmed.push_back({name, capability});
    } else {
      log_.error("warmup_failed", {{"model", name}, {"reason", failure}});
      result.failures.push_back(name + ": " + failure);
      result.failed.push_back({name, capability});
    }
  };
  for (const auto& entry : embedders_)
    run(entry.name, "text-embedding", [&] { return warm_encoder(entry); });
  for (const auto& entry : scorers_)
    run(entry.name, entry.kind == ModelKind::kRerank ? "rerank" : "text-classification",
        [&] { return warm_encoder(entry); });
  for (const auto& entry : chats_)
    run(entry->name, "chat-completion", [&]() -> std::string {
      const auto status = warm_chat_model(*entry);
      return status.ok() ? std::string() : status.error().message;
    });
  log_.info("warmup_completed",
            {{"models", result.warmed.size()}, {"failed", result.failed.size()}});
  if (!result.failed.empty()) {
    std::vector<std::string> names;
    for (const auto& [name, capability] : result.failed) names.push_back(name);
    log_.error("warmup_failed_models", {{"models", join_list(names)}});
  }
  return result;
}

void ModelPool::sweep() {
  for (const auto* entries : {&embedders_, &scorers_})
    for (const auto& entry : *entries) entry.service->sweep();
  for (const auto& entry : chats_) entry->service->sweep();
}

void ModelPool::close() {
  for (const auto* entries : {&embedders_, &scorers_})
    for (const auto& entry : *entries) entry.service->close();
  // Their generators stay open: what the services have accepted may still be on its way there.
  for (const auto& entry : chats_) entry->service->close();
}

void ModelPool::end_all() {
  for (const auto* entries : {&embedders_, &scorers_})
    for (const auto& entry : *entries) entry.service->end_all();
  for (const auto& entry : chats_) entry->service->end_all();
}

bool ModelPool::idle() const {
  const auto none_open = [](const EmbedEntry& entry) {
    return entry.service->requests_open() == 0;
  };
  return std::all_of(embedders_.begin(), embedders_.end(), none_open) &&
         std::all_of(scorers_.begin(), scorers_.end(), none_open) &&
         std::all_of(chats_.begin(), chats_.end(),
                     [](const auto& entry) { return entry->service->requests_open() == 0; });
}

}  // namespace sis::server
