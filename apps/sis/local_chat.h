// A model that generates text, loaded into this process: what `sis chat` and `sis generate` share.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/task_pool.h"
#include "infer/engine/generator.h"
#include "serve/server/chat_loader.h"

namespace CLI {
class App;
}

namespace sis::apps {

struct LocalChatOptions {
  std::string model;
  std::string dtype = "auto", kv_dtype = "auto", isa = "auto";
  int threads = 0;
  int32_t context = 0;  // 0: the model's, at most 8192
  int32_t sequences = 1;
  int32_t step_tokens = 256;
  int64_t kv_memory_mb = 0;
  bool prefix_cache = true;
};
// --model, --dtype, --kv-dtype, --isa, --threads, --context, --kv-memory-mb.
void add_options(CLI::App& app, LocalChatOptions& options);

// Members are declared in the order they need each other.
struct LocalChat {
  SteadyClock clock;
  std::unique_ptr<engine::DeviceExecutor> executor;
  std::unique_ptr<TaskPool> pool;
  tasks::ChatModel model;
  server::KvPlan plan;
  int32_t context_wanted = 0;
  std::unique_ptr<engine::Generator> generator;

  // One line for people: family, size, kernels, cache.
  std::string summary() const;
};
Result<std::unique_ptr<LocalChat>> load_local_chat(const LocalChatOptions& options,
                                                   engine::GeneratorObserver& observer);

}  // namespace sis::apps
