#include "perf/load/schedule.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace sis::perf {

Schedule::Schedule(const Options& options)
    : options_(options),
      rng_(options.seed * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(options.part)) {
  SIS_CHECK(options.rate > 0 || options.trace || !options.rates.empty(), "rate=", options.rate);
  SIS_CHECK(options.parts > 0 && options.part < options.parts && options.burst > 0,
            " part=", options.part, " parts=", options.parts, " burst=", options.burst);
  if (!options.rates.empty()) inverse_.emplace(options.rates);
  advance();
}

void Schedule::advance() {
  const auto part = static_cast<uint64_t>(options_.part),
             parts = static_cast<uint64_t>(options_.parts),
             burst = static_cast<uint64_t>(options_.burst);
  const uint64_t index = taken_ * parts + part;
  double before = 0;  // arrivals of all parts ahead of this one
  if (options_.trace) {
    next_ = index < options_.trace->size() ? (*options_.trace)[index] : kNever;
    ++taken_;
    return;
  }
  if (options_.arrivals == Arrivals::kPoisson) {
    if (taken_ % burst == 0)
      poisson_ += -std::log(1.0 - rng_.uniform()) * static_cast<double>(parts * burst);
    before = poisson_;
  } else {
    before = static_cast<double>(index / burst * burst);
  }
  ++taken_;
  // From the count each time: no error adds up.
  next_ = inverse_ ? inverse_->at(before)
                   : Duration(static_cast<int64_t>(before * 1e9 / options_.rate));
}

std::optional<OpenLoop::Taken> OpenLoop::take(TimePoint now) {
  const TimePoint intended = next_due();
  if (now < intended) return std::nullopt;
  schedule_.advance();
  const TimePoint could = std::max(intended, free_since_);
  return Taken{
      .intended = intended, .waited = could - intended, .late = std::max(Duration{}, now - could)};
}

}  // namespace sis::perf
