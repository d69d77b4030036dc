#include "perf/load/schedule.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace sis::perf {

Schedule::Schedule(const Options& options)
    : options_(options),
      rng_(options.seed * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(options.part)) {
  SIS_CHECK(options.rate > 0 && options.parts > 0 && options.part < options.parts,
            "rate=", options.rate, " part=", options.part, " parts=", options.parts);
  advance();
}

void Schedule::advance() {
  if (options_.arrivals == Arrivals::kPoisson) {
    poisson_s_ += -std::log(1.0 - rng_.uniform()) * options_.parts / options_.rate;
    next_ = Duration(static_cast<int64_t>(poisson_s_ * 1e9));
  } else {
    // From the index each time: no error adds up.
    const double index = static_cast<double>(taken_) * options_.parts + options_.part;
    next_ = Duration(static_cast<int64_t>(index * 1e9 / options_.rate));
  }
  ++taken_;
}

uint64_t Schedule::skip_until(Duration until, uint64_t limit) {
  uint64_t count = 0;
  for (; count < limit && next_ < until; ++count) advance();
  return count;
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
