#include "local_chat.h"

#include <CLI/CLI.hpp>

#include "arguments.h"
#include "base/strings.h"
#include "model_argument.h"

namespace sis::apps {
namespace {

constexpr int kPoolThreads = 2;
constexpr size_t kPoolQueue = 4096;

}  // namespace

void add_options(CLI::App& app, LocalChatOptions& options) {
  app.add_option("--model,-m", options.model, "checkpoint folder, or demo/chat")
      ->capture_default_str();
  app.add_option("--dtype", options.dtype, "of the weights")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "int4", "auto"}))
      ->capture_default_str();
  app.add_option("--kv-dtype", options.kv_dtype, "of the cache")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "auto"}))
      ->capture_default_str();
  app.add_option("--isa", options.isa, "instructions used, at most")
      ->check(isa_word())
      ->capture_default_str();
  app.add_option("--threads", options.threads, "0: one per core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--context", options.context,
                 "tokens of one conversation; 0: the model's, at most 8192")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  app.add_option("--kv-memory-mb", options.kv_memory_mb, "memory of the cache; 0: what is needed")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
}

std::string LocalChat::summary() const {
  const auto& info = model.decoder->info();
  return concat(info.family, ", ", info.layers, " layers, hidden ", info.hidden, ", ",
                (info.linear_params + info.head_params) / 1000000, " M parameters in products; ",
                info.kernels, " on ", executor->threads(), " threads; weights ",
                info.weights_bytes >> 20, " MiB, cache ", plan.bytes >> 20, " MiB (",
                dtype_name(model.decoder->kv_layout().dtype), ") for ", plan.tokens,
                " tokens, context ", plan.context,
                context_wanted > plan.context ? concat(" (", context_wanted, " is too much for it)")
                                              : std::string());
}

Result<std::unique_ptr<LocalChat>> load_local_chat(const LocalChatOptions& options,
                                                   engine::GeneratorObserver& observer) {
  SIS_ASSIGN(const Isa isa, isa_of_argument(options.isa));
  SIS_ASSIGN(const std::string folder, folder_of_model(options.model));
  auto chat = std::make_unique<LocalChat>();
  chat->executor = std::make_unique<engine::DeviceExecutor>(
      engine::ExecutorOptions{.threads = options.threads, .isa = isa}, chat->clock);
  chat->pool = std::make_unique<TaskPool>("sis-prep", kPoolThreads, kPoolQueue);
  SIS_ASSIGN(chat->model, server::load_chat_model({.name = options.model,
                                                   .folder = folder,
                                                   .dtype = options.dtype,
                                                   .kv_dtype = options.kv_dtype},
                                                  *chat->executor));
  chat->context_wanted = options.context;
  SIS_ASSIGN(chat->plan,
             server::plan_kv_cache(*chat->model.decoder,
                                   {.context = options.context,
                                    .sequences = options.sequences,
                                    .memory_mb = options.kv_memory_mb,
                                    .memory_free_bytes = server::memory_available_bytes()}));
  SIS_ASSIGN(chat->generator,
             engine::Generator::create(*chat->model.decoder,
                                       {.sequences_max = options.sequences,
                                        .step_tokens_max = options.step_tokens,
                                        .step_stretch = 0,  // one user, who waits for all of it
                                        .queue_requests_max = options.sequences,
                                        .queue_wait_max = {},
                                        .context_max = chat->plan.context,
                                        .kv_bytes = chat->plan.bytes,
                                        .prefix_cache = options.prefix_cache},
                                       *chat->executor, *chat->pool, chat->clock, observer));
  return chat;
}

}  // namespace sis::apps
