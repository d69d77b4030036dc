#include "serve/admission/step_cost.h"

#include <algorithm>
#include <utility>

namespace sis::admission {
namespace {

constexpr double kFade = 0.966;     // half after twenty steps
constexpr double kSurpriseMax = 4;  // a step counts as at most so many times what was expected

}  // namespace

Work& Work::operator+=(const Work& other) {
  prefill_tokens += other.prefill_tokens;
  decode_tokens += other.decode_tokens;
  return *this;
}

Work& Work::operator-=(const Work& other) {
  prefill_tokens = std::max(0.0, prefill_tokens - other.prefill_tokens);
  decode_tokens = std::max(0.0, decode_tokens - other.decode_tokens);
  return *this;
}

void StepCost::add(TimePoint end, const Work& done, Duration compute, Load load) {
  const TimePoint last_end = std::exchange(last_end_, end);
  const double tokens = done.tokens();
  double seconds = to_seconds(compute);
  if (tokens <= 0 || seconds <= 0) return;

  // A model that is mostly idle gets its turn at once. Without this a share measured in company
  // would stay when the company has gone and refusals keep this model from ever being busy.
  double stretch = 1;
  if (load.busy && load.continues && last_end != TimePoint{})
    stretch = std::max(1.0, to_seconds(end - last_end) / seconds);
  if (stretch < stretch_ || (load.busy && load.continues))
    stretch_ += (1 - kFade) * (std::min(stretch, stretch_ * kSurpriseMax) - stretch_);

  if (known()) {
    const double expected = device_seconds(done);
    if (!load.busy && seconds >= expected) return;
    seconds = std::min(seconds, expected * kSurpriseMax);
  } else if (!load.busy) {
    return;
  }
  const double p = done.prefill_tokens / tokens, d = done.decode_tokens / tokens;
  const double t = seconds / tokens;
  const auto fold = [](double& sum, double value) { sum = sum * kFade + value; };
  fold(pp_, p * p);
  fold(pd_, p * d);
  fold(dd_, d * d);
  fold(pt_, p * t);
  fold(dt_, d * t);
  if (load.busy) ++busy_steps_;
  fit();
}

// The prices with the least squared error; where the steps do not tell the two apart, one for both.
void StepCost::fit() {
  const double determinant = pp_ * dd_ - pd_ * pd_;
  if (determinant > 1e-3 * pp_ * dd_) {
    prefill_seconds_ = (pt_ * dd_ - dt_ * pd_) / determinant;
    decode_seconds_ = (dt_ * pp_ - pt_ * pd_) / determinant;
    if (prefill_seconds_ > 0 && decode_seconds_ > 0) return;
  }
  // Parts of a step add up to 1: total time over total tokens.
  prefill_seconds_ = decode_seconds_ = (pt_ + dt_) / (pp_ + 2 * pd_ + dd_);
}

double StepCost::seconds(const Work& work) const { return device_seconds(work) * stretch_; }

}  // namespace sis::admission
