// How many prompt tokens go into a step, so that who is reading does not wait: a policy on measured
// times.
//
// Steps with decoding sequences may take `stretch` times as long as decoding alone, once for each
// prompt that is to be computed: a single long prompt hardly shows between two tokens of others,
// and a line of prompts is not starved by a few readers. While other models use the device, too, a
// step keeps to the time that is wanted of it. Both never below `tokens_least`, and neither before
// a step of each kind was measured.
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
    if (prefill_tokens == 0 && decode_rows > 0) blend(decode_s_, seconds);
    if (prefill_tokens >= kTokensLeast)
      blend(token_s_, std::max(0.0, seconds - (decode_rows > 0 ? decode_s_ : 0)) / prefill_tokens);
  }

  // Most prompt tokens of the next step with so many decoding sequences and prompts to compute.
  int32_t prefill_max(int32_t decode_rows, int32_t prompts, Duration time_wanted) const {
    if (token_s_ <= 0) return tokens_most_;
    double limit = tokens_most_;
    if (decode_rows > 0 && stretch_ > 0 && decode_s_ > 0)
      limit = std::min(limit, (stretch_ - 1) * decode_s_ * std::max(1, prompts) / token_s_);
    if (time_wanted > Duration{}) limit = std::min(limit, to_seconds(time_wanted) / token_s_);
    return std::max(std::min(kTokensLeast, tokens_most_), static_cast<int32_t>(limit));
  }

 private:
  static constexpr int32_t kTokensLeast = 32;  // fewer cost nearly as much
  // A first value is taken whole; later ones by an eighth, so that one slow step changes little.
  static void blend(double& mean, double value) {
    mean = mean == 0 ? value : mean + (value - mean) / 8;
  }

  double stretch_;
  int32_t tokens_most_;
  double decode_s_ = 0, token_s_ = 0;
};

}  // namespace sis::engine
