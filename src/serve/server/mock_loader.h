// Mock models with everything around them that a checkpoint would bring: tokenizer, template, head.
#pragma once

#include "base/result.h"
#include "base/settings.h"
#include "infer/engine/device_executor.h"
#include "infer/models/mock/options.h"
#include "serve/server/catalog.h"
#include "serve/tasks/chat_model.h"
#include "serve/tasks/embed_model.h"

namespace sis::server {

// The entry's own values, else the MOCK_* settings.
models::MockOptions mock_options(const ModelEntry& entry, const Settings& settings);

Result<tasks::EmbedModel> make_mock_embed_model(const ModelEntry& entry,
                                                const models::MockOptions& options,
                                                engine::DeviceExecutor& executor);
Result<tasks::ChatModel> make_mock_chat_model(const ModelEntry& entry,
                                              const models::MockOptions& options);

}  // namespace sis::server
