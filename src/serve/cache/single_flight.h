// Identical work in flight is done once: the first to come leads, the others wait for what it
// lands with.
//
// A leader that gives up for a reason of its own (its client left, its time was over) hands over to
// the next waiter, which leads then. A leader whose work failed lands with the error for all.
// Leaving as a waiter costs the others nothing. Any thread; one mutex, never held while somebody is
// called.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "serve/cache/cache_key.h"

namespace sis::cache {

// Shared: the cache and any number of answers hold the same bytes.
using SharedBytes = std::shared_ptr<const std::string>;

class SingleFlight {
  struct Flight;
  struct State;

 public:
  // The duty to do the work. Exactly one of land(), fail() and hand_over(); dropping it hands over.
  // Empty when moved from, or when the work is nobody else's (see enter()): all do nothing then.
  class Lead {
   public:
    Lead() = default;
    Lead(Lead&&) noexcept = default;
    Lead& operator=(Lead&& other) noexcept;
    ~Lead() { hand_over(); }

    // Every waiter gets `bytes`; `found`: they were not made but found somewhere.
    void land(SharedBytes bytes, bool found = false);
    // Every waiter gets the error.
    void fail(const Error& error);
    // The next waiter leads; without one the flight is over.
    void hand_over();

   private:
    friend class SingleFlight;
    Lead(std::shared_ptr<State> state, std::shared_ptr<Flight> flight);
    void end(const Result<SharedBytes>& bytes, bool found);

    std::shared_ptr<State> state_;
    std::shared_ptr<Flight> flight_;
  };

  // One of: an error, the bytes, or (neither) the lead.
  struct Landing {
    Result<SharedBytes> bytes = SharedBytes();
    bool found = false;
    Lead lead;
  };
  using Done = std::function<void(Landing)>;

  // A place among the waiters; destroying it leaves. A call of `done` that has begun goes on.
  class Ticket {
   public:
    virtual ~Ticket() = default;
  };

  // At most `waiters_max` wait at a time over all flights: who comes then gets an empty lead.
  SingleFlight(const Clock& clock, size_t waiters_max);

  struct Entry {
    std::unique_ptr<Ticket> ticket;
    Lead lead;           // of the flight that this call began
    bool began = false;  // false: it was in the air already
  };
  // Waits with this key. Whoever begins a flight gets its lead beside the ticket, so that it can
  // look somewhere first: hand_over() of that lead makes the first waiter (itself) the leader.
  // `done` is called once: on the thread of whoever lands, fails or hands over, or with kDeadline
  // in sweep() when this one joined a flight and has waited for `wait`. It gets an empty lead, in
  // the call, when there is no place to wait, `wait` is not above zero, or after close().
  Entry enter(const CacheKey& key, Duration wait, Done done);

  // Ends waits that are over; to be called every few milliseconds.
  void sweep();
  // Every waiter gets kUnavailable.
  void close();
  size_t waiters() const;

 private:
  std::shared_ptr<State> state_;  // shared: leads and tickets may outlive the object
};

}  // namespace sis::cache
