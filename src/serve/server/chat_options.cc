#include "serve/server/chat_options.h"

#include <algorithm>

#include "base/strings.h"

namespace sis::server {

tasks::GenerateDefaults generate_defaults(const ModelEntry& entry,
                                          const tasks::GenerationConfig& checkpoint,
                                          const Settings& settings) {
  tasks::GenerateDefaults defaults = checkpoint.over(kSamplingDefaults);
  if (entry.defaults.temperature)
    defaults.temperature = static_cast<float>(*entry.defaults.temperature);
  if (entry.defaults.top_p) defaults.top_p = static_cast<float>(*entry.defaults.top_p);
  defaults.tokens_ceiling = static_cast<int32_t>(settings.integer("CHAT_MAX_NEW_TOKENS"));
  defaults.tokens_max = static_cast<int32_t>(
      std::min<int64_t>(defaults.tokens_ceiling,
                        entry.defaults.max_tokens.value_or(settings.integer("MAX_NEW_TOKENS"))));
  defaults.prompt_tokens_max = static_cast<int32_t>(settings.integer("CHAT_MAX_PROMPT_TOKENS"));
  defaults.prepare_timeout = settings.duration("CHAT_PREPARE_TIMEOUT_SEC");
  defaults.generate_timeout = settings.duration("CHAT_GENERATE_TIMEOUT_SEC");
  return defaults;
}

int32_t sequences_max(const Settings& settings) {
  return settings.flag("ENABLE_CHAT_BATCHING")
             ? static_cast<int32_t>(settings.integer("CHAT_BATCH_MAX_SIZE"))
             : 1;
}

Status check_chat_settings(const Settings& settings) {
  const auto step = settings.integer("CHAT_STEP_MAX_TOKENS");
  if (step >= sequences_max(settings)) return {};
  return Error{Code::kInvalidArgument,
               concat("CHAT_STEP_MAX_TOKENS: want at least CHAT_BATCH_MAX_SIZE = ",
                      sequences_max(settings), ", a row for every sequence, got ", step)};
}

KvPlanOptions kv_plan_options(const ModelEntry& entry, const Settings& settings) {
  return {.context = entry.context > 0 ? entry.context
                                       : static_cast<int32_t>(settings.integer("CHAT_CONTEXT")),
          .sequences = sequences_max(settings),
          .memory_mb =
              entry.kv_memory_mb > 0 ? entry.kv_memory_mb : settings.integer("CHAT_KV_MEMORY_MB")};
}

engine::GeneratorOptions generator_options(const KvPlan& cache, const Settings& settings) {
  return {
      .sequences_max = sequences_max(settings),
      .step_tokens_max = static_cast<int32_t>(settings.integer("CHAT_STEP_MAX_TOKENS")),
      .step_stretch = settings.number("CHAT_STEP_STRETCH"),
      .queue_requests_max = static_cast<int32_t>(settings.integer("CHAT_BATCH_QUEUE_SIZE")),
      .queue_wait_max = settings.duration("CHAT_QUEUE_MAX_WAIT_MS"),
      .idle_window = settings.flag("ENABLE_CHAT_BATCHING")
                         ? settings.duration("CHAT_BATCH_WINDOW_MS")
                         : Duration::zero(),
      .context_max = cache.context,
      .kv_bytes = cache.bytes,
      .preemptions_max = static_cast<int32_t>(settings.integer("CHAT_REQUEUE_RETRIES")),
      .prefix_cache = settings.flag("CHAT_PREFIX_CACHE"),
  };
}

}  // namespace sis::server
