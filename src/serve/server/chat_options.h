// What the settings and a catalog entry say about running a chat model, as the engine and the
// service want to hear it.
#pragma once

#include "base/settings.h"
#include "infer/engine/generator.h"
#include "serve/server/catalog.h"
#include "serve/server/chat_loader.h"
#include "serve/tasks/chat_model.h"
#include "serve/tasks/generate.h"

namespace sis::server {

// What a sequence is drawn with when nobody names anything.
inline const tasks::GenerateDefaults kSamplingDefaults{.temperature = 0.7f, .top_p = 0.9f};

// The catalog's values before the checkpoint's, these before the server's.
tasks::GenerateDefaults generate_defaults(const ModelEntry& entry,
                                          const tasks::GenerationConfig& checkpoint,
                                          const Settings& settings);

// Decoding together, per model.
int32_t sequences_max(const Settings& settings);

// All but the free memory.
KvPlanOptions kv_plan_options(const ModelEntry& entry, const Settings& settings);

// kInvalidArgument where settings contradict each other, naming both.
Status check_chat_settings(const Settings& settings);

engine::GeneratorOptions generator_options(const KvPlan& cache, const Settings& settings);

}  // namespace sis::server
