// Who may run, who waits and who is sent away: a policy on a given clock, no threads.
//
// A ticket is held while waiting and while running, a slot only while running. Waiters get slots in
// order of arrival, higher priorities first. Without slots (slots_max 0) whoever has a ticket runs:
// that is for work whose device batches it and orders it itself.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace sis::admission {

struct LimiterOptions {
  int32_t tickets_max = 64;             // waiting plus running; 0: no bound
  int32_t slots_max = 0;                // running; 0: no bound
  Duration wait_max = from_seconds(2);  // for a slot; 0: who would have to wait is sent away
};

class Limiter {
 public:
  using Id = uint64_t;  // of one request, never used twice

  explicit Limiter(const LimiterOptions& options) : options_(options) {}

  enum class Answer : uint8_t { kRuns, kWaits, kFull, kNoSlot };
  struct Entered {
    Answer answer;
    Id id = 0;  // of kRuns and kWaits
  };
  // `deadline`: the newcomer's own; it waits until then at most. `may_wait` false: kNoSlot instead
  // of kWaits.
  Entered enter(TimePoint now, TimePoint deadline, int32_t priority, bool may_wait = true);
  bool has_ticket() const;  // enter() would not say kFull

  // Gives back what `id` holds, running or waiting (an unknown id holds nothing). Who gets the slot
  // runs from now on.
  std::optional<Id> leave(Id id);

  struct Expired {
    Id id;
    bool own_deadline = false;  // not wait_max
  };
  // Takes out who has waited too long, in the line's order.
  std::vector<Expired> expire(TimePoint now);

  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t waiting() const { return static_cast<int64_t>(line_.size()); }
  const LimiterOptions& options() const { return options_; }

 private:
  struct Waiter {
    TimePoint until;
    bool own_deadline;  // `until` is
  };
  using Key = std::pair<int64_t, Id>;  // priority downwards, then arrival

  const LimiterOptions options_;
  Id last_ = 0;
  std::unordered_set<Id> running_;
  std::map<Key, Waiter> line_;
  std::unordered_map<Id, int64_t> line_keys_;
};

}  // namespace sis::admission
