// What one client did within one sliding window, in bounded memory.
//
// Exact while the limit is at most kExactMax. Above that, time is cut into kCoarseSteps steps per
// window and an entry counts as made at the end of its step: it leaves up to one step late and
// never early, so that no stretch of the window's length ever holds more than the limit. The limit
// and the length may change between calls (a reload): what was done stays done. Times must not run
// backwards. Not thread-safe: its owner locks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace sis::admission {

// At most `limit` within any `length`; two windows of one name share their log.
struct RateWindow {
  std::string name;  // "minute", "tokens", "/v1/infer hour"
  int64_t limit = 0;
  Duration length{};
  bool operator==(const RateWindow&) const = default;
};

class RateLog {
 public:
  static constexpr int64_t kExactMax = 1024;
  static constexpr int64_t kCoarseSteps = 240;
  static constexpr size_t kCellsMax = 2048;  // 16 bytes each

  // What counts at `now`.
  int64_t used(TimePoint now, const RateWindow& window);
  // How long until `cost` more fit; zero: now. A cost above the limit waits for an empty window.
  Duration wait(TimePoint now, const RateWindow& window, int64_t cost);
  // How long until nothing counts any more.
  Duration until_empty(TimePoint now, const RateWindow& window);
  // Counts `cost` > 0, whether it fits or not; returns the name of the entry for take_back().
  TimePoint add(TimePoint now, const RateWindow& window, int64_t cost);
  // Takes `cost` of an entry back, as far as it still counts.
  void take_back(TimePoint entry, int64_t cost);

  size_t cells() const { return cells_.size() - first_; }

 private:
  struct Cell {
    TimePoint stamp;  // leaves at stamp + length
    int64_t count = 0;
  };
  void expire(TimePoint now, Duration length);

  std::vector<Cell> cells_;  // by stamp; those before first_ have left
  size_t first_ = 0;
  int64_t used_ = 0;
};

}  // namespace sis::admission
