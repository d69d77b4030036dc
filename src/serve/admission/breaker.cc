#include "serve/admission/breaker.h"

#include <algorithm>

#include "base/strings.h"

namespace sis::admission {

const char* breaker_state_name(BreakerState state) {
  switch (state) {
    case BreakerState::kClosed:
      return "closed";
    case BreakerState::kHalfOpen:
      return "half_open";
    case BreakerState::kOpen:
      return "open";
  }
  return "closed";
}

std::optional<BreakerPolicy::Era> BreakerPolicy::ask(TimePoint now) {
  if (state_ == BreakerState::kClosed) return era_;
  if (held_ || now < (state_ == BreakerState::kHalfOpen ? probe_until_ : until_))
    return std::nullopt;
  probe_until_ = now + options_.open_time;
  // Probes beside each other are of one era: the first word counts, so that long answers, which
  // each outlast `open_time`, close it too.
  if (state_ == BreakerState::kHalfOpen) return era_;
  state_ = BreakerState::kHalfOpen;
  return ++era_;
}

void BreakerPolicy::tell(Era era, Verdict verdict, TimePoint now) {
  if (era != era_ || state_ == BreakerState::kOpen) return;
  switch (verdict) {
    case Verdict::kSuccess:
      if (state_ == BreakerState::kClosed)
        failures_ = 0;
      else
        close();
      return;
    case Verdict::kFailure:
      if (state_ == BreakerState::kHalfOpen || ++failures_ >= options_.failures_max) open(now);
      return;
    case Verdict::kNone:
      // The probe has shown nothing: the next request is one. `until_` has passed.
      if (state_ == BreakerState::kHalfOpen) {
        state_ = BreakerState::kOpen;
        ++era_;
      }
      return;
  }
}

void BreakerPolicy::trip(TimePoint now, bool held, Duration expected) {
  if (state_ != BreakerState::kOpen) open(now);
  held_ = held;
  if (held) until_ = now + expected;
}

void BreakerPolicy::release() {
  if (state_ != BreakerState::kClosed) close();
}

void BreakerPolicy::open(TimePoint now) {
  state_ = BreakerState::kOpen;
  ++era_;
  ++openings_;
  failures_ = 0;
  until_ = now + options_.open_time;
}

void BreakerPolicy::close() {
  state_ = BreakerState::kClosed;
  ++era_;
  failures_ = 0;
  held_ = false;
}

Duration BreakerPolicy::retry_after(TimePoint now) const {
  if (state_ == BreakerState::kClosed) return Duration::zero();
  return std::max<Duration>(std::chrono::seconds(1), until_ - now);
}

Breaker::Breaker(std::string name, const BreakerOptions& options, const Clock& clock,
                 OnState on_state)
    : name_(std::move(name)), clock_(clock), on_state_(std::move(on_state)), policy_(options) {}

// Runs `fn` on the policy and tells of the state it left behind, if it is another one.
template <class Fn>
auto Breaker::change(Fn&& fn) {
  struct Told {
    explicit Told(Breaker& self)
        : self(self), state(self.policy_.state()), openings(self.policy_.openings()) {}
    ~Told() {
      const BreakerPolicy& now = self.policy_;
      if (self.on_state_ && now.state() != state)
        self.on_state_(now.state(), now.openings() != openings);
    }
    Breaker& self;
    const BreakerState state;
    const int64_t openings;
  };
  const Told told(*this);
  return fn(policy_);
}

Result<Breaker::Pass> Breaker::enter() {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  if (const auto era = change([&](BreakerPolicy& policy) { return policy.ask(now); }))
    return Pass(*this, *era);
  return Error{Code::kUnavailable,
               concat("model ", in_quotes(name_), " has failed and is not asked for a while"), "",
               "circuit_open", policy_.retry_after(now)};
}

void Breaker::Pass::end(BreakerPolicy::Verdict verdict) {
  Breaker* breaker = std::exchange(breaker_, nullptr);
  if (!breaker) return;
  const TimePoint now = breaker->clock_.now();
  const std::lock_guard lock(breaker->mutex_);
  breaker->change([&](BreakerPolicy& policy) { policy.tell(era_, verdict, now); });
}

void Breaker::Pass::end_with_status(int status) {
  using Verdict = BreakerPolicy::Verdict;
  end(status < 400                     ? Verdict::kSuccess
      : status == 500 || status == 502 ? Verdict::kFailure
                                       : Verdict::kNone);
}

void Breaker::trip(bool held, Duration expected) {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  change([&](BreakerPolicy& policy) { policy.trip(now, held, expected); });
}

void Breaker::release() {
  const std::lock_guard lock(mutex_);
  change([](BreakerPolicy& policy) { policy.release(); });
}

BreakerState Breaker::state() const {
  const std::lock_guard lock(mutex_);
  return policy_.state();
}

int64_t Breaker::openings() const {
  const std::lock_guard lock(mutex_);
  return policy_.openings();
}

}  // namespace sis::admission
