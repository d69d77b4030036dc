// The streams that are open, so that quiet ones are kept alive. Any thread.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "serve/api/openai/stream.h"

namespace sis::api {

class OpenStreams {
 public:
  OpenStreams(const Clock& clock, Duration keep_alive)
      : clock_(clock), period_(std::min<Duration>(std::chrono::seconds(1), keep_alive / 4)) {}

  void add(const std::shared_ptr<Generation>& stream) {
    const std::lock_guard lock(mutex_);
    streams_.push_back(stream);
  }

  // To be called every few milliseconds; looks every second or so.
  void sweep() {
    const TimePoint now = clock_.now();
    const std::lock_guard lock(mutex_);
    if (now - swept_ < period_) return;
    swept_ = now;
    std::erase_if(streams_, [](const std::weak_ptr<Generation>& stream) {
      const auto generation = stream.lock();
      return !generation || !generation->keep_alive();
    });
  }

 private:
  const Clock& clock_;
  const Duration period_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<Generation>> streams_;
  TimePoint swept_{};
};

}  // namespace sis::api
