// What goes wrong in a chat model's line, told to the log: the first time at once, then at most one
// line a second of a kind, with the number of those it stands for. Each refused request has its own
// line anyway; these say how the line was.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "telemetry/log.h"

namespace sis::server {

// Any thread.
class LineLog {
 public:
  struct Options {
    std::string model;
    int64_t queue_max = 0;
    Duration wait_max{};
  };
  LineLog(Options options, const Clock& clock, telemetry::Logger log)
      : options_(std::move(options)), clock_(clock), log_(std::move(log)) {}

  // A newcomer found so many waiting.
  void full(int64_t waiting);
  // So many were dropped for their age; so many wait on.
  void expired(int64_t dropped, int64_t waiting, Duration oldest);

 private:
  struct Kind {
    TimePoint next{};  // when it may speak again
    int64_t count = 0;
    Duration oldest{};
  };
  // What has gathered, if it is time to say it.
  std::optional<Kind> add(Kind& kind, int64_t count, Duration oldest);

  const Options options_;
  const Clock& clock_;
  const telemetry::Logger log_;
  std::mutex mutex_;
  Kind full_, expired_;  // guarded by mutex_
};

}  // namespace sis::server
