#include "perf/load/profile.h"

#include <algorithm>
#include <cmath>

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

ProfileInverse::ProfileInverse(const Profile& profile) : profile_(profile), level_(profile.start) {}

Duration ProfileInverse::at(double sum) {
  for (; stage_ < profile_.stages.size(); ++stage_) {
    const Stage& stage = profile_.stages[stage_];
    const double length = to_seconds(stage.length);
    const double area = (level_ + stage.target) / 2 * length;
    if (sum < sum_ + area) break;
    sum_ += area;
    level_ = stage.target;
    begin_ += stage.length;
  }
  const double wanted = std::max(0.0, sum - sum_);
  double slope = 0;  // behind the last stage its level goes on
  if (stage_ < profile_.stages.size()) {
    const Stage& stage = profile_.stages[stage_];
    slope = (stage.target - level_) / to_seconds(stage.length);
  } else if (level_ <= 0) {
    return kNever;
  }
  // level * t + slope / 2 * t^2 = wanted, in the form that does not cancel.
  const double root = std::sqrt(std::max(0.0, level_ * level_ + 2 * slope * wanted));
  const double t = level_ + root > 0 ? 2 * wanted / (level_ + root) : 0;
  if (t >= to_seconds(kNever)) return kNever;
  return std::min(kNever, begin_ + Duration(static_cast<int64_t>(t * 1e9)));
}

}  // namespace sis::perf
