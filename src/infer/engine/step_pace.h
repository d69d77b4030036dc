// How many prompt tokens go into a step, so that who is reading does not wait: a policy on measured
// times.
//
// Steps with decoding sequences may take `stretch` times as long as decoding alone, once for each
// prompt that is to be computed: a single long prompt hardly shows between two tokens of others,
// and a line of prompts is not starved by a few readers. While other models use the device, too, a
// step keeps to the time that is wanted of it. Both never below `kTokensLeast`, and neither before
// a step of each kind was measured.
//
// A prompt's tokens grow dearer with their position (attention reads all before them), so what they
// cost is believed sooner when it rises than when it falls, and a tenth of what readers may wait is
// kept for what a step takes beyond expectation.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace sis::engine {

class StepPace {
 public:
  // `stretch` > 1; 0: no limit for the sake of readers.
  StepPace(double stretch, int32_t tokens_most) : stretch_(stretch), tokens_most_(tokens_most) {}

  void note(int32_t prefill_tokens, int32_t decode_rows, Duration took) {
    const double seconds = to_seconds(took);
    if (prefill_tokens == 0 && decode_rows > 0) blend(decode_s_, seconds, kCalm);
    if (prefill_tokens < kTokensLeast) return;
    const double extra_s = std::max(0.0, seconds - (decode_rows > 0 ? decode_s_ : 0));
    const double token_s = extra_s / prefill_tokens;
    blend(token_s_, token_s, token_s > token_s_ ? kRising : kCalm);
  }

  // Most prompt tokens of the next step with so many decoding sequences and prompts to compute.
  int32_t prefill_max(int32_t decode_rows, int32_t prompts, Duration time_wanted) const {
    if (token_s_ <= 0) return tokens_most_;
    double limit = tokens_most_;
    if (decode_rows > 0 && stretch_ > 0 && decode_s_ > 0)
      limit =
          std::min(limit, kAimed * (stretch_ - 1) * decode_s_ * std::max(1, prompts) / token_s_);
    if (time_wanted > Duration{}) limit = std::min(limit, to_seconds(time_wanted) / token_s_);
    return std::max(std::min(kTokensLeast, tokens_most_), static_cast<int32_t>(limit));
  }

 private:
  static constexpr int32_t kTokensLeast = 32;  // fewer cost nearly as much
  static constexpr double kAimed = 0.9;        // of the time that readers may wait
  static constexpr double kCalm = 1.0 / 8;     // so much one step changes what is believed
  static constexpr double kRising = 1.0 / 2;

  // A first value is taken whole.
  static void blend(double& mean, double value, double share) {
    mean = mean == 0 ? value : mean + (value - mean) * share;
  }

  double stretch_;
  int32_t tokens_most_;
  double decode_s_ = 0, token_s_ = 0;
};

}  // namespace sis::engine
