#include "serve/server/runtime_config.h"

namespace sis::server {

nlohmann::json runtime_config(const Settings& s) {
  nlohmann::json config = {
      {"model_config", s.text("MODEL_CONFIG_PATH")},
      {"model_device", s.text("MODEL_DEVICE")},
      {"model_allowlist", s.list("MODELS")},
      {"max_concurrent", s.integer("MAX_CONCURRENT")},
      {"max_queue_size", s.integer("MAX_QUEUE_SIZE")},
      {"queue_timeout_sec", s.number("QUEUE_TIMEOUT_SEC")},
      {"embedding_count_max_workers", s.integer("EMBEDDING_COUNT_MAX_WORKERS")},
      {"audio_process_timeout_sec", s.number("AUDIO_PROCESS_TIMEOUT_SEC")},
      {"max_batch_size", s.integer("MAX_BATCH_SIZE")},
      {"max_text_chars", s.integer("MAX_TEXT_CHARS")},
      {"enable_batching", s.flag("ENABLE_EMBEDDING_BATCHING")},
      {"batch_window_ms", s.number("EMBEDDING_BATCH_WINDOW_MS")},
      {"batch_max_size", s.integer("EMBEDDING_BATCH_WINDOW_MAX_SIZE")},
      {"embedding_batch_queue_size", s.integer("EMBEDDING_BATCH_QUEUE_SIZE")},
      {"enable_chat_batching", s.flag("ENABLE_CHAT_BATCHING")},
      {"chat_batch_window_ms", s.number("CHAT_BATCH_WINDOW_MS")},
      {"chat_batch_max_size", s.integer("CHAT_BATCH_MAX_SIZE")},
      {"chat_max_prompt_tokens", s.integer("CHAT_MAX_PROMPT_TOKENS")},
      {"chat_max_new_tokens", s.integer("CHAT_MAX_NEW_TOKENS")},
      {"chat_batch_queue_size", s.integer("CHAT_BATCH_QUEUE_SIZE")},
      {"chat_queue_max_wait_ms", s.number("CHAT_QUEUE_MAX_WAIT_MS")},
      {"chat_requeue_max_wait_ms", s.number("CHAT_REQUEUE_MAX_WAIT_MS")},
      {"chat_requeue_max_tasks", s.integer("CHAT_REQUEUE_MAX_TASKS")},
      {"embedding_generate_timeout_sec", s.number("EMBEDDING_GENERATE_TIMEOUT_SEC")},
  };
  for (const auto& [prefix, variable] : {std::pair{"embedding_", "EMBEDDING_"},
                                         {"chat_", "CHAT_"},
                                         {"vision_", "VISION_"},
                                         {"audio_", "AUDIO_"}}) {
    const auto name = [variable = std::string(variable)](const char* tail) {
      return variable + tail;
    };
    config[std::string(prefix) + "max_concurrent"] = s.integer(name("MAX_CONCURRENT"));
    config[std::string(prefix) + "max_queue_size"] = s.integer(name("MAX_QUEUE_SIZE"));
    config[std::string(prefix) + "queue_timeout_sec"] = s.number(name("QUEUE_TIMEOUT_SEC"));
    config[std::string(prefix) + "max_workers"] = s.integer(name("MAX_WORKERS"));
  }
  return config;
}

}  // namespace sis::server
