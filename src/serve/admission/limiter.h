// Who may run, who waits and who is sent away: a policy on a given clock, no threads.
//
// A ticket is held while waiting and while running, a slot only while running. Waiters get slots in
// order of arrival, higher priorities first. Without slots (slots_max 0) everything that has a
// ticket runs: that is for work whose device batches it and orders it itself.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
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
  // `deadline`: the waiter's own; it waits until then at most.
  Entered enter(TimePoint now, TimePoint deadline, int32_t priority);
  // Whether enter() would find a ticket.
  bool has_ticket() const;

  // Gives back what `id` holds, waiting or running; whoever runs instead is returned.
  std::vector<Id> leave(Id id);

  struct Expired {
    Id id;
    bool deadline = false;  // its own time is over, not wait_max
  };
  // Takes out who has waited too long, oldest first.
  std::vector<Expired> expire(TimePoint now);

  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t waiting() const { return static_cast<int64_t>(line_.size()); }
  const LimiterOptions& options() const { return options_; }

 private:
  struct Waiter {
    TimePoint until;
    bool own_deadline;  // comes before wait_max is over
  };
  using Key = std::pair<int64_t, Id>;  // priority downwards, then arrival

  bool has_slot() const;

  const LimiterOptions options_;
  Id next_ = 1;
  std::unordered_set<Id> running_;
  std::map<Key, Waiter> line_;
  std::map<Id, int64_t> keys_;  // of waiters: the first part of their keys
};

}  // namespace sis::admission
