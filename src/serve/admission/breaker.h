// The circuit breaker of one model (or upstream): when it fails again and again, requests are
// refused at once instead of being sent after the others.
//
//   CLOSED     requests pass; `failures_max` failures in a row open it
//   OPEN       requests are refused; after `open_time` the next one passes as the probe
//   HALF_OPEN  the probe is under way, others are refused; its success closes, its failure opens;
//              after `open_time` without its word the next request passes as a probe beside it
//
// What counts as a failure is the caller's: a fault of the model, never one of the request (4xx),
// of the load (429) or of the client (499). A verdict counts only while the breaker is in the state
// in which the request passed: an old request that ends late closes or opens nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/result.h"

namespace sis::admission {

enum class BreakerState : uint8_t { kClosed, kHalfOpen, kOpen };
const char* breaker_state_name(BreakerState state);  // "closed", "half_open", "open"

struct BreakerOptions {
  int32_t failures_max = 5;  // in a row
  Duration open_time = from_seconds(60);
};

// The rules alone, on a given clock. One thread at a time.
class BreakerPolicy {
 public:
  explicit BreakerPolicy(const BreakerOptions& options) : options_(options) {}

  // What a request that passed has to show when it ends.
  using Era = uint64_t;
  // nullopt: refused.
  std::optional<Era> ask(TimePoint now);
  enum class Verdict : uint8_t {
    kSuccess,
    kFailure,
    kNone,  // says nothing about the model: a bad request, a client that left
  };
  void tell(Era era, Verdict verdict, TimePoint now);

  // Opens at once, whatever was counted: the model is known to be broken. While `held`, no time
  // lets a probe through; `expected` is when release() is thought to come.
  void trip(TimePoint now, bool held, Duration expected = {});
  // The model is known to work again: closes.
  void release();

  BreakerState state() const { return state_; }
  int64_t openings() const { return openings_; }  // so far
  // When it is worth asking again; at least a second while not closed.
  Duration retry_after(TimePoint now) const;

 private:
  void open(TimePoint now);
  void close();

  const BreakerOptions options_;
  BreakerState state_ = BreakerState::kClosed;
  Era era_ = 0;  // changes with every change of state
  int32_t failures_ = 0;
  bool held_ = false;
  TimePoint until_{};        // end of OPEN, or of the hold as expected
  TimePoint probe_until_{};  // of HALF_OPEN: then there may be another one
  int64_t openings_ = 0;
};

// The same for many threads, with passes that give themselves back. Outlives its passes.
class Breaker {
 public:
  // Hears of every change, under the breaker's mutex: must be cheap and not call back. `opened`:
  // a failure opened it, it did not just return to OPEN after a probe that showed nothing.
  using OnState = std::function<void(BreakerState state, bool opened)>;
  Breaker(std::string name, const BreakerOptions& options, const Clock& clock,
          OnState on_state = {});

  // Move only. One that goes without a word has Verdict::kNone.
  class Pass {
   public:
    Pass() = default;
    Pass(Breaker& breaker, BreakerPolicy::Era era) : breaker_(&breaker), era_(era) {}
    ~Pass() { end(BreakerPolicy::Verdict::kNone); }
    Pass(Pass&& other) noexcept
        : breaker_(std::exchange(other.breaker_, nullptr)), era_(other.era_) {}
    Pass& operator=(Pass&& other) noexcept {
      std::swap(breaker_, other.breaker_);
      std::swap(era_, other.era_);
      return *this;
    }
    // The first word counts.
    void end(BreakerPolicy::Verdict verdict);
    // By the status of the answer: below 400 a success, 500 and 502 a failure, anything else says
    // nothing. A deadline (504) may be the client's own, so it does not count.
    void end_with_status(int status);

   private:
    Breaker* breaker_ = nullptr;
    BreakerPolicy::Era era_ = 0;
  };
  // kUnavailable with the reason "circuit_open" and when to come back.
  Result<Pass> enter();

  void trip(bool held, Duration expected = {});
  void release();

  const std::string& name() const { return name_; }
  BreakerState state() const;
  int64_t openings() const;

 private:
  template <class Fn>
  auto change(Fn&& fn);

  const std::string name_;
  const Clock& clock_;
  const OnState on_state_;
  mutable std::mutex mutex_;
  BreakerPolicy policy_;
};

}  // namespace sis::admission
