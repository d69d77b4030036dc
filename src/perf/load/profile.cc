#include "perf/load/profile.h"

#include <algorithm>

namespace sis::perf {

Duration Profile::length() const {
  Duration total{};
  for (const Stage& stage : stages) total += stage.length;
  return total;
}

double Profile::at(Duration since_start) const {
  double level = start;
  for (const Stage& stage : stages) {
    if (since_start < stage.length)
      return level + (stage.target - level) * (to_seconds(since_start) / to_seconds(stage.length));
    since_start -= stage.length;
    level = stage.target;
  }
  return level;
}

double Profile::highest() const {
  double most = start;
  for (const Stage& stage : stages) most = std::max(most, stage.target);
  return most;
}

double Profile::sum_until(Duration since_start) const {
  double level = start, sum = 0;
  for (const Stage& stage : stages) {
    const Duration part = std::min(since_start, stage.length);
    const double share =
        stage.length > Duration{} ? to_seconds(part) / to_seconds(stage.length) : 1;
    const double end = level + (stage.target - level) * share;
    sum += (level + end) / 2 * to_seconds(part);
    since_start -= part;
    if (since_start <= Duration{}) return sum;
    level = stage.target;
  }
  return sum + level * to_seconds(since_start);
}

}  // namespace sis::perf
