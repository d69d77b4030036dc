// A level that changes over time in straight lines: users of a closed loop, requests/s of an open
// one. Pure: the caller owns the clock.
#pragma once

#include <vector>

#include "base/clock.h"

namespace sis::perf {

// From the level before, or the profile's start, to `target` within `length`; at once when it is 0.
struct Stage {
  Duration length{};
  double target = 0;
};

struct Profile {
  double start = 0;
  std::vector<Stage> stages;

  bool empty() const { return stages.empty(); }
  Duration length() const;
  double at(Duration since_start) const;  // the last level after the end
  double highest() const;
  // How much has come by then: the integral of the level, in level times seconds.
  double sum_until(Duration since_start) const;
};

}  // namespace sis::perf
