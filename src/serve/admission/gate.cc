#include "serve/admission/gate.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "serve/admission/turnover.h"

namespace sis::admission {

using Refusal = GateObserver::Refusal;

namespace {

class LaneImpl final : public Lane {
 public:
  LaneImpl(std::mutex& mutex, const Clock& clock, std::string model, const BacklogOptions& options)
      : backlog_of_model(options), model(std::move(model)), mutex_(mutex), clock_(clock) {}

  void on_step(int64_t prefill_tokens, int64_t decode_tokens, Duration compute) override {
    const TimePoint now = clock_.now();
    const std::lock_guard lock(mutex_);
    backlog_of_model.on_step(now,
                             {.prefill_tokens = static_cast<double>(prefill_tokens),
                              .decode_tokens = static_cast<double>(decode_tokens)},
                             compute);
  }
  Duration backlog() const override {
    const std::lock_guard lock(mutex_);
    return backlog_of_model.drain();
  }

  Backlog backlog_of_model;  // guarded by the gate's mutex
  const std::string model;

 private:
  std::mutex& mutex_;
  const Clock& clock_;
};

std::string seconds_text(Duration duration) {
  return fmt::format("{:.3g} s", to_seconds(duration));
}

Error closing() { return {Code::kUnavailable, "the server is shutting down"}; }
Error too_late() { return {Code::kDeadline, "the request's time was over before its turn came"}; }

}  // namespace

struct Gate::State : std::enable_shared_from_this<Gate::State> {
  State(const GateOptions& options, const Clock& clock, GateObserver& observer)
      : options(options), clock(clock), observer(observer), limiter(options.limits) {}

  struct Waiter {
    Place place;  // its slot is still to come
    Done done;
  };
  struct Entry {
    Place place;
    bool waits = false;
  };

  // Under the mutex: a place that runs or waits, or why not.
  Result<Entry> admit(const Ask& ask, bool may_wait, TimePoint now, Refusal& why);
  std::optional<Error> misses_deadline(const Ask& ask, const Backlog::Entry& entry, TimePoint now,
                                       const LaneImpl& lane) const;
  void give_back(Place::Held& held);

  const GateOptions options;
  const Clock& clock;
  GateObserver& observer;

  mutable std::mutex mutex;
  Limiter limiter;
  Turnover turnover;
  std::vector<std::unique_ptr<LaneImpl>> lanes;
  std::unordered_map<Limiter::Id, Waiter> waiters;
  bool closed = false;
};

struct Place::Held {
  std::shared_ptr<Gate::State> gate;
  LaneImpl* lane = nullptr;
  Limiter::Id id = 0;
  Backlog::Entry entry;
  TimePoint entered{}, deadline{};
  Duration waited{};
  std::optional<Duration> forecast;
  bool answered = false;
};

void Place::GiveBack::operator()(Held* held) const {
  const std::unique_ptr<Held> owned(held);
  // The last reference to the gate must not go while its mutex is held.
  const auto gate = held->gate;
  gate->give_back(*held);
}

void Place::correct(int64_t prompt_tokens) {
  if (!held_ || !held_->lane) return;
  const std::lock_guard lock(held_->gate->mutex);
  held_->lane->backlog_of_model.correct(held_->entry, prompt_tokens);
}

void Place::start() {
  if (!held_ || !held_->lane) return;
  const std::lock_guard lock(held_->gate->mutex);
  held_->lane->backlog_of_model.start(held_->entry);
}

void Place::answered(int64_t answer_tokens) {
  if (!held_ || std::exchange(held_->answered, true) || !held_->lane) return;
  if (held_->entry.size.answer_tokens_max == 0) return;
  const std::lock_guard lock(held_->gate->mutex);
  held_->lane->backlog_of_model.learn_answer(static_cast<double>(answer_tokens) /
                                             held_->entry.size.sequences);
}

Duration Place::waited() const { return held_ ? held_->waited : Duration::zero(); }

std::optional<Error> Gate::State::misses_deadline(const Ask& ask, const Backlog::Entry& entry,
                                                  TimePoint now, const LaneImpl& lane) const {
  const Backlog& backlog = lane.backlog_of_model;
  if (backlog.has_free_place()) return std::nullopt;
  const auto forecast = backlog.forecast(entry);
  if (!forecast) return std::nullopt;
  const Duration budget = ask.deadline - now;
  const Duration finish = forecast->finish + backlog.slack(budget);
  const Duration start = forecast->start + backlog.slack(ask.start_max);
  const bool late = finish > budget;
  const Duration over = std::max(finish - budget, start - ask.start_max);
  if (over <= Duration::zero()) return std::nullopt;
  return Error{
      .code = Code::kOverloaded,
      .message = late
                     ? concat("model ", in_quotes(lane.model),
                              " is busy: this request would be answered in ", seconds_text(finish),
                              ", its limit is ", seconds_text(budget))
                     : concat("model ", in_quotes(lane.model), " is busy: this request would wait ",
                              seconds_text(start), ", the limit is ", seconds_text(ask.start_max)),
      .retry_after = std::max<Duration>(over, std::chrono::milliseconds(1))};
}

Result<Gate::State::Entry> Gate::State::admit(const Ask& ask, bool may_wait, TimePoint now,
                                              Refusal& why) {
  if (closed) {
    why = Refusal::kClosed;
    return closing();
  }
  if (ask.deadline <= now) {
    why = Refusal::kDeadline;
    return too_late();
  }
  if (!limiter.has_ticket()) {
    why = Refusal::kFull;
    return Error{.code = Code::kOverloaded,
                 .message = concat("the ", options.capability,
                                   " queue is full: ", options.limits.tickets_max,
                                   " requests wait or run (", options.queue_setting, ")"),
                 .retry_after = turnover.hint(now)};
  }
  auto* lane = static_cast<LaneImpl*>(ask.lane);
  Backlog::Entry entry;
  std::optional<Duration> forecast;
  if (lane) {
    entry = lane->backlog_of_model.estimate(ask.size);
    if (auto error = misses_deadline(ask, entry, now, *lane)) {
      why = Refusal::kForecast;
      return std::move(*error);
    }
    if (const auto known = lane->backlog_of_model.forecast(entry)) forecast = known->finish;
  }
  const auto entered = limiter.enter(now, ask.deadline, ask.priority, may_wait);
  if (entered.answer == Limiter::Answer::kNoSlot) {
    why = Refusal::kNoSlot;
    return Error{.code = Code::kOverloaded,
                 .message = concat("all ", options.limits.slots_max, " ", options.capability,
                                   " slots are taken"),
                 .retry_after = turnover.hint(now)};
  }
  SIS_CHECK(entered.id != 0, "the ticket was there");
  turnover.enter(now);
  if (lane) lane->backlog_of_model.add(entry);
  return Entry{.place = Place(new Place::Held{.gate = shared_from_this(),
                                              .lane = lane,
                                              .id = entered.id,
                                              .entry = entry,
                                              .entered = now,
                                              .deadline = ask.deadline,
                                              .forecast = forecast}),
               .waits = entered.answer == Limiter::Answer::kWaits};
}

void Gate::State::give_back(Place::Held& held) {
  const TimePoint now = clock.now();
  Waiter next;
  {
    const std::lock_guard lock(mutex);
    turnover.leave(now);
    if (held.lane) {
      Backlog& backlog = held.lane->backlog_of_model;
      backlog.remove(held.entry);
      // One that ran out of time tells as much as one that was answered; one that left tells
      // nothing.
      if (held.forecast && (held.answered || now >= held.deadline))
        backlog.learn_error(*held.forecast, now - held.entered);
    }
    if (const auto id = limiter.leave(held.id)) {
      const auto it = waiters.find(*id);
      SIS_CHECK(it != waiters.end(), "waiter ", *id);
      next = std::move(it->second);
      waiters.erase(it);
    }
  }
  if (!next.done) return;
  next.place.held_->waited = now - next.place.held_->entered;
  next.done(std::move(next.place));
}

Gate::Gate(const GateOptions& options, const Clock& clock, GateObserver& observer)
    : state_(std::make_shared<State>(options, clock, observer)) {}

Gate::~Gate() {
  std::unordered_map<Limiter::Id, State::Waiter> waiters;
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    waiters.swap(state_->waiters);
    for (const auto& [id, waiter] : waiters) state_->limiter.leave(id);
  }
  for (auto& [id, waiter] : waiters) {
    state_->observer.on_refused(Refusal::kClosed, waiter.place.held_->lane);
    waiter.place.release();
    waiter.done(closing());
  }
}

Lane& Gate::add_lane(const std::string& model, const BacklogOptions& options) {
  const std::lock_guard lock(state_->mutex);
  state_->lanes.push_back(std::make_unique<LaneImpl>(state_->mutex, state_->clock, model, options));
  return *state_->lanes.back();
}

Result<Place> Gate::enter(const Ask& ask) {
  const TimePoint now = state_->clock.now();
  Refusal why{};
  auto entry = [&] {
    const std::lock_guard lock(state_->mutex);
    return state_->admit(ask, /*may_wait=*/false, now, why);
  }();
  if (entry.ok()) return std::move(entry->place);
  state_->observer.on_refused(why, ask.lane);
  return std::move(entry).error();
}

std::unique_ptr<Gate::Wait> Gate::enter(const Ask& ask, Done done) {
  class WaitImpl final : public Wait {
   public:
    WaitImpl(std::shared_ptr<State> state, Limiter::Id id) : state_(std::move(state)), id_(id) {}
    ~WaitImpl() override {
      State::Waiter gone;  // given back after the lock
      const std::lock_guard lock(state_->mutex);
      const auto it = state_->waiters.find(id_);
      if (it == state_->waiters.end()) return;
      gone = std::move(it->second);
      state_->waiters.erase(it);
    }

   private:
    const std::shared_ptr<State> state_;
    const Limiter::Id id_;
  };
  const TimePoint now = state_->clock.now();
  Refusal why{};
  std::unique_ptr<Wait> wait;
  auto entry = [&] {
    const std::lock_guard lock(state_->mutex);
    auto admitted = state_->admit(ask, /*may_wait=*/true, now, why);
    if (admitted.ok() && admitted->waits) {
      const Limiter::Id id = admitted->place.held_->id;
      wait = std::make_unique<WaitImpl>(state_, id);
      state_->waiters[id] = {std::move(admitted->place), std::move(done)};
    }
    return admitted;
  }();
  if (wait) return wait;
  if (!entry.ok()) state_->observer.on_refused(why, ask.lane);
  done(entry.ok() ? Result<Place>(std::move(entry->place)) : std::move(entry).error());
  return nullptr;
}

void Gate::sweep() {
  struct Gone {
    State::Waiter waiter;
    Error error;
    Refusal why;
  };
  std::vector<Gone> gone;
  const TimePoint now = state_->clock.now();
  {
    const std::lock_guard lock(state_->mutex);
    for (const auto& [id, own_deadline] : state_->limiter.expire(now)) {
      const auto it = state_->waiters.find(id);
      SIS_CHECK(it != state_->waiters.end(), "waiter ", id);
      gone.push_back(
          {.waiter = std::move(it->second),
           .error = own_deadline
                        ? too_late()
                        : Error{.code = Code::kOverloaded,
                                .message = concat("no ", state_->options.capability,
                                                  " slot came free within ",
                                                  seconds_text(state_->options.limits.wait_max)),
                                .retry_after = state_->turnover.hint(now)},
           .why = own_deadline ? Refusal::kDeadline : Refusal::kNoSlot});
      state_->waiters.erase(it);
    }
  }
  for (auto& [waiter, error, why] : gone) {
    state_->observer.on_refused(why, waiter.place.held_->lane);
    waiter.place.release();
    waiter.done(std::move(error));
  }
}

void Gate::close() {
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
}

Duration Gate::retry_after() {
  const TimePoint now = state_->clock.now();
  const std::lock_guard lock(state_->mutex);
  return state_->turnover.hint(now);
}

int64_t Gate::running() const {
  const std::lock_guard lock(state_->mutex);
  return state_->limiter.running();
}

int64_t Gate::waiting() const {
  const std::lock_guard lock(state_->mutex);
  return state_->limiter.waiting();
}

}  // namespace sis::admission
