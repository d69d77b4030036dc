#include "serve/admission/turnover.h"

#include <algorithm>
#include <cmath>

namespace sis::admission {
namespace {

constexpr double kMemorySeconds = 2;
constexpr Duration kLeast = std::chrono::milliseconds(1), kMost = std::chrono::seconds(10);

}  // namespace

void Turnover::enter(TimePoint now) {
  if (inside_++ == 0) counted_ = now;
}

void Turnover::leave(TimePoint now) {
  const double passed = to_seconds(std::max(Duration::zero(), now - counted_));
  const double fade = std::exp(-passed / kMemorySeconds);
  seconds_ = seconds_ * fade + passed;
  departures_ = departures_ * fade + 1;
  counted_ = now;
  --inside_;
}

Duration Turnover::interval() const {
  if (departures_ < 1) return std::chrono::seconds(1);
  return std::clamp(from_seconds(std::min(seconds_ / departures_, 1e3)), kLeast, kMost);
}

Duration Turnover::hint(TimePoint now) {
  promised_ = std::min(std::max(promised_, now) + interval(), now + kMost);
  return promised_ - now;
}

}  // namespace sis::admission
