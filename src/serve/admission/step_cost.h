// What a token costs a busy model: seconds of the clock, measured on its steps.
//
// Prompt and answer tokens have prices of their own, fitted to the last steps (half of what is
// known comes from the last twenty). Time between two steps counts where work was waiting: other
// models' turns, tokenising that cannot keep up, a stalled machine. A single slow step is cut to a
// multiple of what was expected, so it can neither raise the prices much nor for long.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace sis::admission {

struct Work {
  double prefill_tokens = 0;
  double decode_tokens = 0;

  Work& operator+=(const Work& other) {
    prefill_tokens += other.prefill_tokens;
    decode_tokens += other.decode_tokens;
    return *this;
  }
  Work& operator-=(const Work& other) {
    prefill_tokens -= other.prefill_tokens;
    decode_tokens -= other.decode_tokens;
    return *this;
  }
  double tokens() const { return prefill_tokens + decode_tokens; }
};

class StepCost {
 public:
  // A step ended. `busy`: the device was fully used by it; other steps can only lower the prices.
  // `continues`: work was left behind by the step before, so the time since then counts.
  void add(TimePoint end, const Work& done, Duration compute, bool busy, bool continues);

  bool known() const;
  double prefill_seconds() const { return prefill_seconds_; }  // per token, device time
  double decode_seconds() const { return decode_seconds_; }
  double share() const { return share_; }  // of the clock that the device gives this model
  // Seconds of the clock for this work.
  double seconds(const Work& work) const;

 private:
  void fit();

  // Sums over steps, each scaled to one token and older ones fading: of prompt and answer parts,
  // their products and the time.
  double pp_ = 0, pd_ = 0, dd_ = 0, pt_ = 0, dt_ = 0;
  double prefill_seconds_ = 0, decode_seconds_ = 0;
  double share_ = 1;
  int64_t busy_steps_ = 0;
  TimePoint last_end_{};
};

}  // namespace sis::admission
