#include "serve/server/chat_models.h"
#include "serve/server/model_folder.h"

#include <chrono>
#include <filesystem>
#include <future>

#include "base/strings.h"
#include "infer/models/mock/mock.h"
#include "serve/server/chat_options.h"
#include "serve/server/mock_loader.h"
#include "serve/server/text_loader.h"
#include "serve/tasks/conversation.h"
#include "version.h"

namespace sis::server {
namespace {

// FNV-1a over what an answer depends on besides the request.
std::string fingerprint_of(const std::string& folder, const nn::DecoderInfo& info,
                           const std::string& kv_dtype) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto mix = [&hash](std::string_view text) {
    for (const unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3u;
    hash = (hash ^ 0xff) * 0x100000001b3u;
  };
  mix(SIS_VERSION);
  mix(folder_version(folder));
  mix(info.kernels);
  mix(kv_dtype);
  return fmt::format("fp_{:010x}", hash & 0xffffffffffu);
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

// The model, guarded, and its text side.
Status load_model(ChatEntry& chat, const ModelEntry& entry, const std::string& folder,
                  const std::string& kv_dtype, const ChatPlace& place) {
  const Settings& settings = place.settings;
  ModelKeeper::LoadAgain<nn::Decoder> load_again;
  if (entry.mock) {
    auto options = mock_options(entry, settings);
    SIS_ASSIGN(chat.model, make_mock_chat_model(entry, options));
    load_again = [options]() mutable -> Result<std::unique_ptr<nn::Decoder>> {
      ++options.seed;  // other failures than the last time
      return models::make_mock_decoder(options);
    };
  } else {
    const ChatLoadOptions options{.name = entry.name,
                                  .folder = folder,
                                  .dtype = entry.dtype == ModelDtype::kAuto
                                               ? settings.text("DTYPE")
                                               : model_dtype_name(entry.dtype),
                                  .kv_dtype = kv_dtype};
    SIS_ASSIGN(chat.model, load_chat_model(options, place.executor));
    load_again = [options, &executor = place.executor] { return load_decoder(options, executor); };
  }
  chat.model.decoder =
      place.keeper.guard(entry.name, std::move(chat.model.decoder), std::move(load_again));
  chat.breaker = &place.keeper.breaker(entry.name);
  chat.mock = entry.mock.has_value();
  chat.text = chat.model.text_model();
  if (entry.mock) return {};
  return check_selftest(settings.text("SELFTEST"), entry.name, folder, *chat.text.tokenizer,
                        chat.text.templates, place.log);
}

}  // namespace

Result<std::unique_ptr<ChatEntry>> start_chat_model(
    const ModelEntry& entry, const std::string& folder,
    std::unique_ptr<engine::GeneratorObserver> observer, const ChatPlace& place) {
  const Settings& settings = place.settings;
  SIS_TRY(check_chat_settings(settings));
  const auto begin = place.clock.now();
  auto chat = std::make_unique<ChatEntry>();
  chat->name = entry.name;
  chat->structured_outputs = entry.supports_structured_outputs;
  chat->observer = std::move(observer);
  const std::string kv_dtype =
      entry.kv_dtype.empty() ? settings.text("CHAT_KV_DTYPE") : entry.kv_dtype;
  SIS_TRY(load_model(*chat, entry, folder, kv_dtype, place));
  const tasks::ChatModel& model = chat->model;

  KvPlanOptions wanted = kv_plan_options(entry, settings);
  wanted.memory_free_bytes = memory_available_bytes();
  auto cache = plan_kv_cache(*model.decoder, wanted);
  if (!cache.ok()) return prefixed(entry.name, std::move(cache).error());
  chat->cache = *cache;
  if (wanted.context > chat->cache.context)
    place.log.warning(
        "context_lowered",
        {{"model", entry.name}, {"wanted", wanted.context}, {"tokens_max", chat->cache.context}});
  auto generator =
      engine::Generator::create(*model.decoder, generator_options(chat->cache, settings),
                                place.executor, place.prep, place.clock, *chat->observer);
  if (!generator.ok()) return prefixed(entry.name, std::move(generator).error());
  chat->generator = std::move(*generator);
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
  SIS_TRY(entry.service->warm());
  tasks::GenerateCall call;
  call.tokens_max = 8;
  call.temperature = 0.0f;
  call.text = "Hello";
  if (entry.text.templates != nullptr) call.chat = tasks::one_message("Hello");
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
