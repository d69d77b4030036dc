// The meeting place of a lane and its callers.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "infer/engine/request.h"

namespace sis::engine {

// Where callers leave word for the executor's thread.
struct Inbox {
  std::mutex mutex;
  bool open = true;
  std::function<void()> wake;  // null when disconnected
  std::vector<std::shared_ptr<Request>> arrived;
  std::atomic<int32_t> arrivals{0};       // in `arrived`
  std::atomic<int32_t> cancellations{0};  // not looked at yet
  std::atomic<int32_t> waiting{0};        // submitted and not admitted
};

}  // namespace sis::engine
