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

// The inverse of sum_until() for rising sums, at a cost that does not grow with the number of
// stages.
class ProfileInverse {
 public:
  explicit ProfileInverse(const Profile& profile);
  // The last moment at which no more than `sum` has come: with a level of requests/s that is when
  // request number `sum` is due. kNever when the sum is not reached. Sums must not fall from call
  // to call.
  Duration at(double sum);

 private:
  Profile profile_;
  size_t stage_ = 0;
  double level_ = 0, sum_ = 0;  // at the stage's begin
  Duration begin_{};
};

// Later than any run; may be added to a TimePoint.
inline constexpr Duration kNever = std::chrono::hours(87600);

}  // namespace sis::perf
