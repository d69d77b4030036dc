#include "serve/server/chat_models.h"

#include <chrono>
#include <filesystem>
#include <future>

#include "base/strings.h"
#include "serve/server/text_loader.h"
#include "version.h"

namespace sis::server {
namespace {

constexpr float kTemperature = 0.7f, kTopP = 0.9f;  // when nobody names any

// FNV-1a over what an answer depends on besides the request.
std::string fingerprint_of(const std::string& folder, const nn::DecoderInfo& info,
                           const std::string& kv_dtype) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto mix = [&hash](std::string_view text) {
    for (const unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3u;
    hash = (hash ^ 0xff) * 0x100000001b3u;
  };
  mix(SIS_VERSION);
  mix(folder);
  std::error_code ignored;
  const auto changed = std::filesystem::last_write_time(folder + "/config.json", ignored);
  mix(concat(changed.time_since_epoch().count()));
  mix(info.kernels);
  mix(kv_dtype);
  return fmt::format("fp_{:010x}", hash & 0xffffffffffu);
}

engine::GeneratorOptions generator_options(const Settings& settings, const KvPlan& cache) {
  const bool batching = settings.flag("ENABLE_CHAT_BATCHING");
  return {
      .sequences_max = batching ? static_cast<int32_t>(settings.integer("CHAT_BATCH_MAX_SIZE")) : 1,
      .step_tokens_max = static_cast<int32_t>(settings.integer("CHAT_STEP_MAX_TOKENS")),
      .queue_requests_max = static_cast<int32_t>(settings.integer("CHAT_BATCH_QUEUE_SIZE")),
      .queue_wait_max = settings.duration("CHAT_QUEUE_MAX_WAIT_MS"),
      .idle_window = batching ? settings.duration("CHAT_BATCH_WINDOW_MS") : Duration::zero(),
      .context_max = cache.context,
      .kv_bytes = cache.bytes,
      .preemptions_max = static_cast<int32_t>(settings.integer("CHAT_REQUEUE_RETRIES")),
      .prefix_cache = settings.flag("CHAT_PREFIX_CACHE"),
  };
}

// Waits for the end of one request.
class Waiter final : public tasks::GenerateStream {
 public:
  void on_start(int32_t) override {}
  void on_delta(int32_t, tasks::Delta) override {}
  void on_finish(int32_t, tasks::FinishReason) override {}
  void on_end(Result<tasks::Usage> usage) override { end_.set_value(std::move(usage)); }
  std::future<Result<tasks::Usage>> future() { return end_.get_future(); }

 private:
  std::promise<Result<tasks::Usage>> end_;
};

}  // namespace

tasks::GenerateDefaults generate_defaults(const ModelEntry& entry,
                                          const tasks::GenerationConfig& checkpoint,
                                          const Settings& settings) {
  const auto choose = [](const std::optional<double>& catalog, std::optional<float> file,
                         float otherwise) {
    return catalog ? static_cast<float>(*catalog) : file.value_or(otherwise);
  };
  tasks::GenerateDefaults defaults;
  defaults.temperature = choose(entry.defaults.temperature, checkpoint.temperature, kTemperature);
  defaults.top_p = choose(entry.defaults.top_p, checkpoint.top_p, kTopP);
  defaults.min_p = checkpoint.min_p.value_or(defaults.min_p);
  defaults.repetition_penalty = checkpoint.repetition_penalty.value_or(defaults.repetition_penalty);
  defaults.top_k = checkpoint.top_k.value_or(defaults.top_k);
  defaults.tokens_ceiling = static_cast<int32_t>(settings.integer("CHAT_MAX_NEW_TOKENS"));
  defaults.tokens_max = static_cast<int32_t>(
      std::min<int64_t>(defaults.tokens_ceiling,
                        entry.defaults.max_tokens.value_or(settings.integer("MAX_NEW_TOKENS"))));
  defaults.prompt_tokens_max = static_cast<int32_t>(settings.integer("CHAT_MAX_PROMPT_TOKENS"));
  defaults.prepare_timeout = settings.duration("CHAT_PREPARE_TIMEOUT_SEC");
  defaults.generate_timeout = settings.duration("CHAT_GENERATE_TIMEOUT_SEC");
  return defaults;
}

Result<std::unique_ptr<ChatEntry>> start_chat_model(
    const ModelEntry& entry, const std::string& folder,
    std::unique_ptr<engine::GeneratorObserver> observer, const ChatPlace& place) {
  const Settings& settings = place.settings;
  const auto begin = place.clock.now();
  auto chat = std::make_unique<ChatEntry>();
  chat->name = entry.name;
  chat->structured_outputs = entry.supports_structured_outputs;
  chat->observer = std::move(observer);
  const std::string kv_dtype =
      entry.kv_dtype.empty() ? settings.text("CHAT_KV_DTYPE") : entry.kv_dtype;
  SIS_ASSIGN(chat->model, load_chat_model({.name = entry.name,
                                           .folder = folder,
                                           .dtype = entry.dtype == ModelDtype::kAuto
                                                        ? settings.text("DTYPE")
                                                        : model_dtype_name(entry.dtype),
                                           .kv_dtype = kv_dtype},
                                          place.executor));
  const tasks::ChatModel& model = chat->model;
  chat->text = model.text_model();
  SIS_TRY(check_selftest(settings.text("SELFTEST"), entry.name, folder, *chat->text.tokenizer,
                         chat->text.templates, place.log));

  const int32_t sequences = settings.flag("ENABLE_CHAT_BATCHING")
                                ? static_cast<int32_t>(settings.integer("CHAT_BATCH_MAX_SIZE"))
                                : 1;
  auto cache = plan_kv_cache(
      *model.decoder,
      {.context = entry.context > 0 ? entry.context
                                    : static_cast<int32_t>(settings.integer("CHAT_CONTEXT")),
       .sequences = sequences,
       .memory_mb =
           entry.kv_memory_mb > 0 ? entry.kv_memory_mb : settings.integer("CHAT_KV_MEMORY_MB"),
       .memory_free_bytes = memory_available_bytes()});
  if (!cache.ok()) return prefixed(entry.name, std::move(cache).error());
  chat->cache = *cache;
  SIS_ASSIGN(chat->generator,
             engine::Generator::create(*model.decoder, generator_options(settings, chat->cache),
                                       place.executor, place.prep, place.clock, *chat->observer));
  // Prompts and answers share the context the cache was planned for.
  chat->text.tokens_max = chat->generator->options().context_max;
  chat->service = tasks::GenerateService::create(
      chat->text, model.generation.eos_ids, generate_defaults(entry, model.generation, settings),
      *chat->generator, place.prep, place.clock);

  const auto& info = model.decoder->info();
  chat->fingerprint = fingerprint_of(folder, info, kv_dtype);
  chat->loaded_at = std::chrono::duration_cast<std::chrono::seconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  place.log.info("model_loaded", {{"model", entry.name},
                                  {"folder", folder},
                                  {"family", info.family},
                                  {"kernels", info.kernels},
                                  {"tokens_max", chat->text.tokens_max},
                                  {"weights_bytes", info.weights_bytes},
                                  {"cache_bytes", chat->cache.bytes},
                                  {"cache_tokens", chat->cache.tokens},
                                  {"load_ms", to_ms(place.clock.now() - begin)}});
  return chat;
}

Status warm_chat_model(const ChatEntry& entry) {
  tasks::GenerateCall call;
  call.tokens_max = 8;
  call.temperature = 0.0f;
  call.text = "Hello";
  if (entry.text.templates != nullptr) {
    using text::tmpl::Value;
    const auto words = [](const char* text) { return Value::string(text); };
    call.chat.emplace();
    call.chat->add_generation_prompt = true;
    call.chat->messages = Value::list(
        {Value::dict({{words("role"), words("user")}, {words("content"), words("Hello")}})});
  }
  const auto waiter = std::make_shared<Waiter>();
  auto end = waiter->future();
  const auto ticket = entry.service->submit(std::move(call), waiter);
  // The service ends it when its time is over; nobody else calls sweep() yet.
  while (end.wait_for(std::chrono::milliseconds(10)) != std::future_status::ready)
    entry.service->sweep();
  auto usage = end.get();
  if (!usage.ok()) return std::move(usage).error();
  return {};
}

}  // namespace sis::server
