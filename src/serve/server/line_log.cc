#include "serve/server/line_log.h"

#include <algorithm>

namespace sis::server {

void LineLog::full(int64_t waiting) {
  if (const auto said = add(full_, 1, {}))
    log_.warning("chat_batch_queue_full", {{"model", options_.model},
                                           {"refused", said->count},
                                           {"queue_size", waiting},
                                           {"max_queue_size", options_.queue_max}});
}

void LineLog::expired(int64_t dropped, int64_t waiting, Duration oldest) {
  if (const auto said = add(expired_, dropped, oldest))
    log_.warning("chat_batch_items_dropped_due_to_queue_wait",
                 {{"model", options_.model},
                  {"dropped", said->count},
                  {"queue_size", waiting},
                  {"max_queue_size", options_.queue_max},
                  {"queue_max_wait_sec", to_seconds(options_.wait_max)},
                  {"oldest_wait_sec", to_seconds(said->oldest)}});
}

std::optional<LineLog::Kind> LineLog::add(Kind& kind, int64_t count, Duration oldest) {
  const std::lock_guard lock(mutex_);
  kind.count += count;
  kind.oldest = std::max(kind.oldest, oldest);
  const TimePoint now = clock_.now();
  if (now < kind.next) return std::nullopt;
  return std::exchange(kind, {.next = now + std::chrono::seconds(1)});
}

}  // namespace sis::server
