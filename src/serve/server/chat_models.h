// A chat model as the server runs it: checkpoint, cache, generator and service together.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/settings.h"
#include "base/task_pool.h"
#include "infer/engine/device_executor.h"
#include "infer/engine/generator.h"
#include "serve/server/catalog.h"
#include "serve/server/chat_loader.h"
#include "serve/server/model_keeper.h"
#include "serve/tasks/chat_model.h"
#include "serve/tasks/generate.h"
#include "telemetry/log.h"

namespace sis::server {

// Stays where it is made: its parts refer to each other.
struct ChatEntry {
  ChatEntry() = default;
  ChatEntry(const ChatEntry&) = delete;

  std::string name;
  int64_t loaded_at = 0;  // unix seconds
  bool structured_outputs = false;
  bool mock = false;
  admission::Breaker* breaker = nullptr;  // the keeper's
  std::string fingerprint;                // changes with the weights, their types and this program
  tasks::ChatModel model;
  tasks::TextModel text;  // a view of `model`
  KvPlan cache;
  std::unique_ptr<engine::GeneratorObserver> observer;
  std::unique_ptr<engine::Generator> generator;
  std::unique_ptr<tasks::GenerateService> service;
};

// Where a chat model runs. All references outlive it.
struct ChatPlace {
  const Settings& settings;
  engine::DeviceExecutor& executor;
  TaskPool& prep;
  const Clock& clock;
  const telemetry::Logger& log;
  ModelKeeper& keeper;
};

// Loads the checkpoint in `folder` (none for a mock) and starts everything around it. Errors name
// the file or the setting at fault.
Result<std::unique_ptr<ChatEntry>> start_chat_model(
    const ModelEntry& entry, const std::string& folder,
    std::unique_ptr<engine::GeneratorObserver> observer, const ChatPlace& place);

// One short answer; the error tells what went wrong.
Status warm_chat_model(const ChatEntry& entry);

}  // namespace sis::server
