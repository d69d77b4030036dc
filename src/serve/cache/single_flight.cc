#include "serve/cache/single_flight.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sis::cache {
namespace {

constexpr Duration kWaitMax = std::chrono::hours(24);

struct Waiter {
  SingleFlight::Done done;  // null once it was called or has left
  TimePoint until = TimePoint::max();
};
using Waiters = std::list<std::shared_ptr<Waiter>>;

}  // namespace

struct SingleFlight::Flight {
  CacheKey key;
  Waiters waiters;  // in order of arrival
  bool over = false;
  // The next leader is being called: who gives the lead up meanwhile only says so, and the caller
  // goes on to the one after. Thousands that give up in a row would nest as deep otherwise.
  bool delivering = false, given_up = false;
};

struct SingleFlight::State {
  State(const Clock& c, size_t most) : clock(c), waiters_max(most) {}

  // Takes the call out of the waiter; null when it has left.
  Done take(Waiter& waiter) {
    const std::lock_guard lock(mutex);
    return std::exchange(waiter.done, nullptr);
  }
  void leave(Flight& flight, const std::shared_ptr<Waiter>& waiter) {
    Done done;  // what it owns goes outside the lock
    const std::lock_guard lock(mutex);
    done = std::exchange(waiter->done, nullptr);
    if (!done) return;
    const auto place = std::find(flight.waiters.begin(), flight.waiters.end(), waiter);
    if (place == flight.waiters.end()) return;
    flight.waiters.erase(place);
    --waiting;
  }

  const Clock& clock;
  const size_t waiters_max;
  mutable std::mutex mutex;  // guards what follows, and the flights
  std::unordered_map<CacheKey, std::shared_ptr<Flight>, CacheKeyHash> flights;
  size_t waiting = 0;
  TimePoint sweep_at = TimePoint::max();  // no wait ends before
  bool closed = false;
};

namespace {

// Ends everybody's wait alike.
template <class State>
void tell(State& state, const Waiters& waiters, const Result<SharedBytes>& bytes, bool found) {
  for (const auto& waiter : waiters)
    if (auto done = state.take(*waiter)) done({.bytes = bytes, .found = found, .lead = {}});
}

}  // namespace

SingleFlight::Lead::Lead(std::shared_ptr<State> state, std::shared_ptr<Flight> flight)
    : state_(std::move(state)), flight_(std::move(flight)) {}

SingleFlight::Lead& SingleFlight::Lead::operator=(Lead&& other) noexcept {
  if (this == &other) return *this;
  hand_over();
  state_ = std::move(other.state_);
  flight_ = std::move(other.flight_);
  return *this;
}

void SingleFlight::Lead::land(SharedBytes bytes, bool found) { end(std::move(bytes), found); }

void SingleFlight::Lead::fail(const Error& error) { end(error, false); }

void SingleFlight::Lead::end(const Result<SharedBytes>& bytes, bool found) {
  const auto state = std::exchange(state_, nullptr);
  const auto flight = std::exchange(flight_, nullptr);
  if (!state) return;
  Waiters waiters;
  {
    const std::lock_guard lock(state->mutex);
    if (std::exchange(flight->over, true)) return;
    state->flights.erase(flight->key);
    waiters.swap(flight->waiters);
    state->waiting -= waiters.size();
  }
  tell(*state, waiters, bytes, found);
}

void SingleFlight::Lead::hand_over() {
  const auto state = std::exchange(state_, nullptr);
  const auto flight = std::exchange(flight_, nullptr);
  if (!state) return;
  std::unique_lock lock(state->mutex);
  if (flight->delivering) {
    flight->given_up = true;
    return;
  }
  flight->delivering = flight->given_up = true;
  while (flight->given_up && !flight->over) {
    if (flight->waiters.empty()) {
      flight->over = true;
      state->flights.erase(flight->key);
      break;
    }
    const auto next = std::move(flight->waiters.front());
    flight->waiters.pop_front();
    --state->waiting;
    Done done = std::exchange(next->done, nullptr);
    flight->given_up = false;
    lock.unlock();
    done({.bytes = SharedBytes(), .found = false, .lead = Lead(state, flight)});
    done = nullptr;  // what it owns goes before the lock is back
    lock.lock();
  }
  flight->delivering = false;
}

SingleFlight::SingleFlight(const Clock& clock, size_t waiters_max)
    : state_(std::make_shared<State>(clock, waiters_max)) {}

SingleFlight::Entry SingleFlight::enter(const CacheKey& key, Duration wait, Done done) {
  class Place final : public Ticket {
   public:
    Place(std::shared_ptr<State> state, std::shared_ptr<Flight> flight,
          std::shared_ptr<Waiter> waiter)
        : state_(std::move(state)), flight_(std::move(flight)), waiter_(std::move(waiter)) {}
    ~Place() override { state_->leave(*flight_, waiter_); }

   private:
    const std::shared_ptr<State> state_;
    const std::shared_ptr<Flight> flight_;
    const std::shared_ptr<Waiter> waiter_;
  };

  std::unique_lock lock(state_->mutex);
  const auto found = state_->flights.find(key);
  const bool began = found == state_->flights.end();
  if (state_->closed || state_->waiting >= state_->waiters_max ||
      (!began && wait <= Duration::zero())) {
    lock.unlock();
    done({});
    return {};
  }
  auto waiter = std::make_shared<Waiter>();
  waiter->done = std::move(done);
  std::shared_ptr<Flight> flight;
  Entry entry{.ticket = nullptr, .lead = {}, .began = began};
  if (began) {
    flight = std::make_shared<Flight>();
    flight->key = key;
    state_->flights.emplace(key, flight);
    entry.lead = Lead(state_, flight);
  } else {
    flight = found->second;
    waiter->until = state_->clock.now() + std::min(wait, kWaitMax);
    state_->sweep_at = std::min(state_->sweep_at, waiter->until);
  }
  flight->waiters.push_back(waiter);
  ++state_->waiting;
  entry.ticket = std::make_unique<Place>(state_, std::move(flight), std::move(waiter));
  return entry;
}

void SingleFlight::sweep() {
  Waiters late;
  {
    const std::lock_guard lock(state_->mutex);
    const TimePoint now = state_->clock.now();
    if (now < state_->sweep_at) return;
    state_->sweep_at = TimePoint::max();
    for (auto& [key, flight] : state_->flights) {
      Waiters& waiters = flight->waiters;
      for (auto it = waiters.begin(); it != waiters.end();) {
        const auto place = it++;
        if ((*place)->until <= now)
          late.splice(late.end(), waiters, place);
        else
          state_->sweep_at = std::min(state_->sweep_at, (*place)->until);
      }
    }
    state_->waiting -= late.size();
  }
  tell(*state_, late,
       Error{Code::kDeadline, "an identical request was answered first, but not in time"}, false);
}

void SingleFlight::close() {
  Waiters waiters;
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    for (auto& [key, flight] : state_->flights) {
      flight->over = true;
      waiters.splice(waiters.end(), flight->waiters);
    }
    state_->flights.clear();
    state_->waiting = 0;
  }
  tell(*state_, waiters, Error{Code::kUnavailable, "the server is shutting down"}, false);
}

size_t SingleFlight::waiters() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waiting;
}

}  // namespace sis::cache
