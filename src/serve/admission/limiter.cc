#include "serve/admission/limiter.h"

#include <algorithm>

namespace sis::admission {

bool Limiter::has_ticket() const {
  return options_.tickets_max == 0 || running() + waiting() < options_.tickets_max;
}

Limiter::Entered Limiter::enter(TimePoint now, TimePoint deadline, int32_t priority,
                                bool may_wait) {
  if (!has_ticket()) return {Answer::kFull};
  // A free slot has no line before it: slots are handed on as they are given back.
  if (options_.slots_max == 0 || running() < options_.slots_max) {
    running_.insert(++last_);
    return {Answer::kRuns, last_};
  }
  if (!may_wait || options_.wait_max <= Duration::zero()) return {Answer::kNoSlot};
  const bool own = deadline - now < options_.wait_max;
  const int64_t key = -int64_t{priority};
  line_[{key, ++last_}] = {.until = own ? deadline : now + options_.wait_max, .own_deadline = own};
  line_keys_[last_] = key;
  return {Answer::kWaits, last_};
}

std::optional<Limiter::Id> Limiter::leave(Id id) {
  if (const auto it = line_keys_.find(id); it != line_keys_.end()) {
    line_.erase({it->second, id});
    line_keys_.erase(it);
    return std::nullopt;
  }
  if (running_.erase(id) == 0 || line_.empty()) return std::nullopt;
  const Id next = line_.begin()->first.second;
  line_.erase(line_.begin());
  line_keys_.erase(next);
  running_.insert(next);
  return next;
}

std::vector<Limiter::Expired> Limiter::expire(TimePoint now) {
  std::vector<Expired> expired;
  for (const auto& [key, waiter] : line_)
    if (waiter.until <= now) expired.push_back({key.second, waiter.own_deadline});
  for (const auto& gone : expired) leave(gone.id);
  return expired;
}

}  // namespace sis::admission
