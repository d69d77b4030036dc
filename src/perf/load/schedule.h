// When requests should be sent in an open loop, whatever the server does.
//
// Arrivals are fixed before the run: request i is due at a time after the start that follows from a
// constant rate, a rate that changes over time or a list of times. With Poisson arrivals the gaps
// are exponential; with a changing rate, a Poisson train of rate 1 is bent by the inverse of the
// rate's integral (Cinlar, Introduction to Stochastic Processes, 1975, 4.7). take() hands the next
// one out once it is due; arrivals nobody could take stay due, with their intended time, so that a
// stalled server is charged for every request it delayed. Pure on given times: the caller owns the
// clock.
//
// Two kinds of delay between intended and actual send are told apart:
//   waited for a connection   all were busy: the server (or too few connections) is the cause
//   late                      a connection was free, the generator itself was behind
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "perf/load/profile.h"

namespace sis::perf {

enum class Arrivals : uint8_t { kConstant, kPoisson };

class Schedule {
 public:
  struct Options {
    double rate = 1;  // per second, over all parts
    // Instead of the rate, in this order: due times, a rate over time.
    std::shared_ptr<const std::vector<Duration>> trace;
    Profile rates;
    Arrivals arrivals = Arrivals::kConstant;  // not for due times
    int burst = 1;                            // requests that are due together; the rate stays
    uint64_t seed = 0;
    // This schedule yields every `parts`-th arrival of a constant train or of due times beginning
    // with `part`, or its own Poisson stream of rate / parts: one per event loop.
    int part = 0, parts = 1;
  };
  explicit Schedule(const Options& options);

  // The next arrival, after the start; kNever when there is none.
  Duration next() const { return next_; }
  bool exhausted() const { return next_ >= kNever; }
  void advance();
  // How many arrivals from next() on are due before `until`; at most `limit` are counted.
  // Consumes them; `each` is given the time of every one.
  template <class Each>
  uint64_t skip_until(Duration until, uint64_t limit, Each&& each) {
    uint64_t count = 0;
    for (; count < limit && next_ < until; ++count) {
      each(next_);
      advance();
    }
    return count;
  }
  uint64_t skip_until(Duration until, uint64_t limit) {
    return skip_until(until, limit, [](Duration) {});
  }

 private:
  Options options_;
  Rng rng_;
  std::optional<ProfileInverse> inverse_;
  uint64_t taken_ = 0;
  double poisson_ = 0;  // arrivals of all parts that are expected before the next one
  Duration next_{};
};

class OpenLoop {
 public:
  struct Taken {
    TimePoint intended;
    Duration waited;  // for a free connection
    Duration late;    // the generator's own delay
  };

  OpenLoop(Schedule schedule, TimePoint start)
      : schedule_(std::move(schedule)), start_(start), free_since_(start) {}

  // The next request if it is due. Call only when a connection is free.
  std::optional<Taken> take(TimePoint now);
  TimePoint next_due() const { return start_ + schedule_.next(); }
  bool exhausted() const { return schedule_.exhausted(); }
  // A connection became free after none was.
  void freed(TimePoint now) { free_since_ = now; }
  // What is due before `until` and nobody takes any more, at most `limit`; `waited` is given how
  // long each had been due by then.
  template <class Waited>
  uint64_t give_up_due(TimePoint until, uint64_t limit, Waited&& waited) {
    return schedule_.skip_until(until - start_, limit,
                                [&](Duration due) { waited(until - start_ - due); });
  }

 private:
  Schedule schedule_;
  TimePoint start_;
  TimePoint free_since_;
};

}  // namespace sis::perf
