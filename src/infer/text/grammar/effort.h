// What compiling one grammar may cost: hostile grammars are many.
//
// Every part of the compiler spends from one Effort; the first that finds it empty returns its
// error. One thread at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/result.h"
#include "base/strings.h"

namespace sis::text {

struct GrammarBudget {
  Duration time = std::chrono::seconds(2);  // of compiling, on the clock
  int64_t states = 400'000;                 // of the automaton; bounds its memory as well
  size_t bytes = size_t{64} << 20;          // of the automaton
  // States met and masks made while texts grow; the oldest are forgotten beyond it. Never less than
  // a few masks take.
  size_t cache_bytes = size_t{64} << 20;
  const Clock* clock = nullptr;  // null: the steady clock
};

namespace grammar {

class Effort {
 public:
  explicit Effort(const GrammarBudget& budget)
      : budget_(budget),
        clock_(budget.clock != nullptr ? budget.clock : &steady_),
        deadline_(clock_->now() + budget.time) {}
  Effort(const Effort&) = delete;
  Effort& operator=(const Effort&) = delete;

  // Counts work and says whether there was room for it. One state is about 64 bytes.
  bool spend(int64_t states) {
    states_ += states;
    work_ += states;
    if (states_ > budget_.states || states_ > static_cast<int64_t>(budget_.bytes / kStateBytes))
      over_ = Over::kStates;
    return over_ == Over::kNothing && in_time();
  }
  // Work that keeps nothing.
  bool work(int64_t steps) {
    work_ += steps;
    return over_ == Over::kNothing && in_time();
  }

  Status status() {
    work_ += kStepsPerLook;
    in_time();
    switch (over_) {
      case Over::kNothing:
        return {};
      case Over::kTime:
        return Error{Code::kInvalidArgument,
                     concat("grammar: not compiled within ", to_ms(budget_.time), " ms")};
      case Over::kStates:
        return Error{Code::kInvalidArgument,
                     concat("grammar: wants more than ",
                            std::min<int64_t>(budget_.states, budget_.bytes / kStateBytes),
                            " automaton states")};
    }
    return {};
  }

 private:
  static constexpr size_t kStateBytes = 64;
  static constexpr int64_t kStepsPerLook = 2048;  // at the clock
  enum class Over : uint8_t { kNothing, kTime, kStates };

  bool in_time() {
    if (work_ < kStepsPerLook) return true;
    work_ = 0;
    if (clock_->now() > deadline_ && over_ == Over::kNothing) over_ = Over::kTime;
    return over_ == Over::kNothing;
  }

  GrammarBudget budget_;
  SteadyClock steady_;
  const Clock* clock_;
  TimePoint deadline_;
  int64_t states_ = 0, work_ = 0;
  Over over_ = Over::kNothing;
};

}  // namespace grammar
}  // namespace sis::text
