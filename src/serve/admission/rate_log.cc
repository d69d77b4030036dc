#include "serve/admission/rate_log.h"

#include <algorithm>

namespace sis::admission {
namespace {

// The end of the step that `now` lies in.
TimePoint round_up(TimePoint now, const RateWindow& window) {
  if (window.limit <= RateLog::kExactMax) return now;
  const Duration step = std::max<Duration>(window.length / RateLog::kCoarseSteps, Duration(1));
  const Duration since = now.time_since_epoch();
  return TimePoint((since + step - Duration(1)) / step * step);
}

}  // namespace

void RateLog::expire(TimePoint now, Duration length) {
  while (first_ < cells_.size() && cells_[first_].stamp + length <= now)
    used_ -= cells_[first_++].count;
  if (first_ == cells_.size()) {
    cells_.clear();
    first_ = 0;
  } else if (first_ >= 16 && first_ * 2 >= cells_.size()) {
    cells_.erase(cells_.begin(), cells_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

int64_t RateLog::used(TimePoint now, const RateWindow& window) {
  expire(now, window.length);
  return used_;
}

Duration RateLog::wait(TimePoint now, const RateWindow& window, int64_t cost) {
  expire(now, window.length);
  int64_t excess = used_ + std::min(cost, window.limit) - window.limit;
  for (size_t i = first_; i < cells_.size() && excess > 0; ++i) {
    excess -= cells_[i].count;
    if (excess <= 0) return cells_[i].stamp + window.length - now;
  }
  return Duration::zero();
}

Duration RateLog::until_empty(TimePoint now, const RateWindow& window) {
  expire(now, window.length);
  if (cells() == 0) return Duration::zero();
  return cells_.back().stamp + window.length - now;
}

TimePoint RateLog::add(TimePoint now, const RateWindow& window, int64_t cost) {
  expire(now, window.length);
  used_ += cost;
  TimePoint stamp = round_up(now, window);
  if (cells() > 0) {
    Cell& last = cells_.back();
    stamp = std::max(stamp, last.stamp);  // after a reload that made steps finer
    if (stamp == last.stamp || cells() >= kCellsMax) {
      last.stamp = stamp;
      last.count += cost;
      return stamp;
    }
  }
  cells_.push_back({stamp, cost});
  return stamp;
}

void RateLog::take_back(TimePoint entry, int64_t cost) {
  const auto begin = cells_.begin() + static_cast<std::ptrdiff_t>(first_);
  const auto at =
      std::lower_bound(begin, cells_.end(), entry,
                       [](const Cell& cell, TimePoint stamp) { return cell.stamp < stamp; });
  if (at == cells_.end() || at->stamp != entry) return;
  const int64_t back = std::min(cost, at->count);
  at->count -= back;
  used_ -= back;
  if (at->count == 0) cells_.erase(at);  // or empty cells would gather without bound
}

}  // namespace sis::admission
