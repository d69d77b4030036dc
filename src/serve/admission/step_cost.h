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

  Work& operator+=(const Work& other);
  Work& operator-=(const Work& other);  // not below 0
  double tokens() const { return prefill_tokens + decode_tokens; }
};

class StepCost {
 public:
  // What a step tells depends on what surrounds it.
  struct Load {
    bool busy = false;       // it used the device fully; other steps can only lower the prices
    bool continues = false;  // the step before left work behind, so the time since then counts
  };
  void add(TimePoint end, const Work& done, Duration compute, Load load);

  bool known() const { return busy_steps_ >= kStepsMin; }
  // Seconds of the clock, other models' share of the device included.
  double seconds(const Work& work) const;
  double decode_seconds() const { return decode_seconds_ * stretch_; }  // per token

 private:
  static constexpr int64_t kStepsMin = 4;

  double device_seconds(const Work& work) const {
    return work.prefill_tokens * prefill_seconds_ + work.decode_tokens * decode_seconds_;
  }
  void fit();

  // Sums over steps, each scaled to one token and older ones fading: products of prompt part,
  // answer part and time.
  double pp_ = 0, pd_ = 0, dd_ = 0, pt_ = 0, dt_ = 0;
  double prefill_seconds_ = 0, decode_seconds_ = 0;  // per token, of the device
  double stretch_ = 1;                               // clock per device time
  int64_t busy_steps_ = 0;
  TimePoint last_end_{};
};

}  // namespace sis::admission
