// How long a mock's forward takes, and when it fails.
#pragma once

#include "base/clock.h"
#include "base/rng.h"
#include "infer/models/mock/options.h"
#include "infer/tensor/buffer.h"

namespace sis::models {

// One forward at a time.
class MockPace {
 public:
  explicit MockPace(const MockOptions& options);

  // Waits until `us`, with jitter, have passed since `begin`. Sleeps; only the last
  // kSpinAtMost are spent spinning, because a sleep may end that much late. Throws
  // std::runtime_error when this forward is one of those that fail.
  void finish(TimePoint begin, double us);

  static constexpr std::chrono::microseconds kSpinAtMost{60};

 private:
  const MockOptions options_;
  Rng rng_;
  Buffer memory_;
};

}  // namespace sis::models
