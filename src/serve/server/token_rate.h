// Tokens per second over all models.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/clock.h"

namespace sis::server {

// How fast tokens come, over the time since it was last asked (at least a second).
class TokenRate {
 public:
  std::atomic<int64_t>& tokens() { return tokens_; }
  double per_second(TimePoint now) {
    const std::lock_guard lock(mutex_);
    const double seconds = to_seconds(now - asked_at_);
    if (seconds < 1) return rate_;
    const int64_t tokens = tokens_;
    rate_ = static_cast<double>(tokens - asked_tokens_) / seconds;
    asked_tokens_ = tokens;
    asked_at_ = now;
    return rate_;
  }

 private:
  std::atomic<int64_t> tokens_{0};
  std::mutex mutex_;
  TimePoint asked_at_{};
  int64_t asked_tokens_ = 0;
  double rate_ = 0;
};

}  // namespace sis::server
