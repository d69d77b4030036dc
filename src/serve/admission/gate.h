// The one way in for requests that cost something: a place is taken before tokenising or anything
// else that takes time, and given back by a destructor.
//
// A gate stands before each capability (embeddings with rerank and classification, chat, vision,
// audio, each proxy, text preparation). On the way in a request is refused at once, with the time
// after which it would fit,
//   - kUnavailable  when the server is shutting down,
//   - kOverloaded   when all tickets are out (waiting plus running), or when its model's backlog
//                   says that it would miss its deadline, or start too late;
//   - kDeadline     when its deadline has passed.
// Work that nothing batches takes one of a few slots as well and may have to wait for it, in order
// of arrival; work that a device batches only holds its ticket: the DeviceExecutor, which runs one
// step at a time in fair turns, is the gate for compute.
//
// How a route uses it:
//
//   auto place = gate.enter({.lane = lane, .size = {.bytes = text.size()}, .deadline = deadline});
//   if (!place.ok()) return fail(place.error());        // Retry-After is in the error
//   ... keep *place with the request, submit to the task ...
//   place->correct(tokens);    // optional, after tokenising
//   place->start();            // optional, when the device has begun
//   place->answered(tokens);   // before the answer is written; without it nothing is learnt
//   // ~Place gives it back: answered, failed, or its client gone
//
// Gates without slots never wait; where there are slots, use the enter() that takes a callback.
// Any thread; one mutex per gate, held for a few sums. Callbacks run outside of it.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "serve/admission/backlog.h"
#include "serve/admission/limiter.h"

namespace sis::admission {

class Gate;

// The backlog of one model behind a gate; the model's steps are reported here. Any thread.
class Lane {
 public:
  virtual ~Lane() = default;
  virtual const std::string& model() const = 0;
  // The model ran one step; the device's thread may call it.
  virtual void on_step(int64_t prefill_tokens, int64_t decode_tokens, Duration compute) = 0;
  // What a request refused further on (a model's own queue) may be told: when one that is here now
  // will have left. At least a millisecond.
  virtual Duration retry_after() const = 0;
  // Seconds of the device that are admitted and not done.
  virtual Duration backlog() const = 0;
};

struct Ask {
  Lane* lane = nullptr;                   // of this gate; null: only tickets and slots count
  Size size;                              // what it brings, for the forecast
  TimePoint deadline = TimePoint::max();  // its answer is due; over it: 504
  Duration start_max = Duration::max();   // longest wait before the device begins with it
  int32_t priority = 0;                   // among waiters for a slot; higher first
};

// The right to be worked on. Move-only; an empty one (moved from, or default) does nothing.
class Place {
 public:
  Place() = default;
  Place(Place&&) noexcept = default;
  Place& operator=(Place&& other) noexcept;
  ~Place() { release(); }

  explicit operator bool() const { return held_ != nullptr; }
  // Tokenised: the prompt tokens the device will compute for it, 0 when others compute them.
  void correct(int64_t prompt_tokens);
  // The device has begun with it.
  void start();
  // It is answered; `answer_tokens` of all its sequences together. To be called before release.
  void answered(int64_t answer_tokens = 0);
  // How long it waited for its slot.
  Duration waited() const;
  void release();

  class Held;  // the gate's side
  explicit Place(std::unique_ptr<Held> held);

 private:
  struct Drop {
    void operator()(Held* held) const;
  };
  std::unique_ptr<Held, Drop> held_;
};

// What a gate tells about itself, outside its mutex; any thread, must be cheap.
class GateObserver {
 public:
  virtual ~GateObserver() = default;
  enum class Refusal : uint8_t {
    kFull,      // no ticket
    kSlot,      // no slot, or none in time
    kForecast,  // would have missed its deadline, or started too late
    kDeadline,  // its own time ran out while it waited
    kClosed,
  };
  // Each refused request once; `model` is empty when it has no lane.
  virtual void on_refused(Refusal why, const std::string& model) = 0;
};

struct GateOptions {
  std::string capability;  // for messages: "embedding"
  LimiterOptions limits;
};

class Gate {
 public:
  // Keeps references; places and lanes may outlive it for a moment, the clock and the observer must
  // outlive them all.
  Gate(const GateOptions& options, const Clock& clock, GateObserver& observer);
  ~Gate();  // who still waits is refused (kUnavailable)
  Gate(const Gate&) = delete;

  // A model behind this gate, for as long as the gate is there. While building, before requests.
  Lane& add_lane(const std::string& model, const BacklogOptions& options);

  // A place now, or an error; never waits (as if wait_max were 0).
  Result<Place> enter(const Ask& ask);

  using Done = std::function<void(Result<Place>)>;
  // Destroying it takes the request out of the line: `done` is then not called any more. After
  // `done` was called it does nothing.
  class Wait {
   public:
    virtual ~Wait() = default;
  };
  // The same for gates with slots: `done` is called exactly once unless the wait is destroyed
  // first, inside enter() (then no wait comes back) or later on the thread of whoever left.
  std::unique_ptr<Wait> enter(const Ask& ask, Done done);

  // Ends waits that took too long; to be called every few milliseconds.
  void sweep();
  // Refuses newcomers; who waits or runs is served.
  void close();

  // When a ticket is likely to be free; for refusals before a lane is known.
  Duration retry_after() const;
  int64_t running() const;
  int64_t waiting() const;
  const GateOptions& options() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with places, lanes and waits
  friend class Place;
};

}  // namespace sis::admission
