// From a checkpoint folder to a model that generates text, and how much memory its cache gets.
#pragma once

#include <string>

#include "base/result.h"
#include "infer/engine/device_executor.h"
#include "serve/tasks/chat_model.h"

namespace sis::server {

struct ChatLoadOptions {
  std::string name;
  std::string folder;
  std::string dtype = "auto";     // f32, bf16, int8, int4; auto: bf16 where the CPU multiplies it
  std::string kv_dtype = "auto";  // bf16, int8; auto: bf16, and f32 where dtype is f32
};

// The decoder alone.
Result<std::unique_ptr<nn::Decoder>> load_decoder(const ChatLoadOptions& options,
                                                  engine::DeviceExecutor& executor);

// Packs on the executor's thread. Errors name the file and what is wrong with it.
Result<tasks::ChatModel> load_chat_model(const ChatLoadOptions& options,
                                         engine::DeviceExecutor& executor);

// generation_config.json of `folder`, its ids completed from config.json and
// tokenizer_config.json. An empty list of ids is fine: such a model ends at its token limit.
Result<tasks::GenerationConfig> read_generation_config(const std::string& folder,
                                                       const text::Tokenizer& tokenizer);

struct KvPlanOptions {
  int32_t context = 0;  // tokens per sequence; 0: the model's, at most context_default
  int32_t context_default = 8192;
  int32_t sequences = 8;  // decoding together
  int64_t memory_mb = 0;  // of the cache; 0: every sequence's whole context, at most a quarter
                          // of `memory_free_bytes`
  int64_t memory_free_bytes = 0;
};
struct KvPlan {
  int32_t context = 0;  // tokens per sequence
  int64_t bytes = 0;    // of the cache, whole blocks
  int64_t tokens = 0;   // it holds
};
// kInvalidArgument when the memory does not hold one sequence, with both numbers.
Result<KvPlan> plan_kv_cache(const nn::Decoder& decoder, const KvPlanOptions& options);

// Memory the system could give this process now (MemAvailable, a container's limit).
int64_t memory_available_bytes();

}  // namespace sis::server
