// The one way in for requests that cost something: a place is taken before tokenising or anything
// else that takes time, and given back by a destructor.
//
// A gate stands before each capability (embeddings with rerank and classification, chat, vision,
// audio, each proxy, text preparation). What cannot be served is refused at once, with the time
// after which it may fit:
//   kUnavailable  the server is shutting down;
//   kOverloaded   all tickets are out (waiting plus running), no slot came free in time, or the
//                 model's backlog says that the request would miss its deadline or start too late;
//   kDeadline     its deadline has passed.
// Work that nothing batches also takes one of a few slots and may wait for it, in order of arrival.
// Work that a device batches holds its ticket only: the DeviceExecutor, which runs one step at a
// time in fair turns, is the gate for compute.
//
// How a route uses it:
//
//   auto place = gate.enter({.lane = lane, .size = {.bytes = text.size()}, .deadline = deadline});
//   if (!place.ok()) return fail(place.error());  // it says when to come back
//   ... keep *place with the request, submit to the task ...
//   place->correct(tokens);   // may be left out: the prompt is tokenised
//   place->start();           // may be left out: the device has begun
//   place->answered(tokens);  // before the answer is written; without it nothing is learnt
//   // ~Place gives it back: answered, failed, or its client gone
//
// Any thread; one mutex per gate, held for a few sums. Callbacks run outside of it. A Place itself
// is used by one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "serve/admission/backlog.h"
#include "serve/admission/limiter.h"

namespace sis::admission {

// One model behind a gate. Lives as long as the gate.
class Lane {
 public:
  virtual ~Lane() = default;
  // The model ran one step, of so many tokens of prompts and of answers; the device's thread.
  virtual void on_step(int64_t prefill_tokens, int64_t decode_tokens, Duration compute) = 0;
  // Time the device needs for what is admitted and not done; zero while that is not known.
  virtual Duration backlog() const = 0;
};

struct Ask {
  Lane* lane = nullptr;  // of this gate; null: nothing is forecast
  Size size;
  TimePoint deadline = TimePoint::max();  // when the answer is due
  Duration start_max = Duration::max();   // longest wait until the device begins with it
  int32_t priority = 0;                   // among those that wait for a slot: higher first
};

// The right to be worked on. Move-only; an empty one does nothing.
class Place {
 public:
  struct Held;  // the gate's

  Place() = default;
  explicit Place(Held* held) : held_(held) {}

  explicit operator bool() const { return held_ != nullptr; }
  // The prompt tokens the device has to compute for it, as soon and as often as they are known
  // better; 0: others compute them.
  void correct(int64_t prompt_tokens);
  // The device has begun with it.
  void start();
  // It is answered, with so many tokens generated in all sequences together.
  void answered(int64_t answer_tokens = 0);
  Duration waited() const;  // for its slot
  void release() { held_.reset(); }

 private:
  friend class Gate;
  struct GiveBack {
    void operator()(Held* held) const;
  };
  std::unique_ptr<Held, GiveBack> held_;
};

// What a gate tells about itself; outside its mutex, any thread, must be cheap.
class GateObserver {
 public:
  virtual ~GateObserver() = default;
  enum class Refusal : uint8_t {
    kFull,      // no ticket
    kNoSlot,    // none free, or none in time
    kForecast,  // would miss its deadline or start too late
    kDeadline,  // its time was over, when it came or while it waited
    kClosed,
  };
  // Each refused request once. `lane`: as asked, may be null.
  virtual void on_refused(Refusal why, const Lane* lane) = 0;
};

struct GateOptions {
  std::string capability;     // for messages: "embedding"
  std::string queue_setting;  // that bounds the tickets: "EMBEDDING_MAX_QUEUE_SIZE"
  LimiterOptions limits;
};

class Gate {
 public:
  // The clock and the observer outlive the gate and its places.
  Gate(const GateOptions& options, const Clock& clock, GateObserver& observer);
  ~Gate();  // who still waits is refused; places may be given back later
  Gate(const Gate&) = delete;

  // A model behind this gate, by its name in messages. Before the first request for it.
  Lane& add_lane(const std::string& model, const BacklogOptions& options);

  // A place now or an error: who would have to wait for a slot is refused.
  Result<Place> enter(const Ask& ask);

  using Done = std::function<void(Result<Place>)>;
  // Destroying it takes the request out of the line; afterwards `done` is not begun any more.
  class Wait {
   public:
    virtual ~Wait() = default;
  };
  // Waits for a slot where there is none: `done` is called once, inside enter() (then no wait comes
  // back) or on the thread of whoever left or of sweep().
  std::unique_ptr<Wait> enter(const Ask& ask, Done done);

  void sweep();  // ends waits that took too long; to be called every few milliseconds
  void close();  // refuses newcomers; who waits or runs is served

  // What a request refused behind the gate (by a model's own queue) is told: when to come back.
  Duration retry_after();
  int64_t running() const;
  int64_t waiting() const;

 private:
  struct State;
  friend struct Place::Held;
  std::shared_ptr<State> state_;  // shared with places and waits, which may outlive the gate
};

}  // namespace sis::admission
