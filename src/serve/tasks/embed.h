// Embeds texts for many clients at once: cache, joining of identical texts in flight,
// micro-batches, deadlines.
//
// A request whose texts are all cached is answered inside submit(). Otherwise its new texts are
// tokenised on the prep pool, wait in the model's queue and run on the device with whatever else
// waits. One request's failure, timeout or disconnect never touches its companions. Any thread; one
// mutex, held for look-ups only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task_pool.h"
#include "infer/engine/device_executor.h"
#include "serve/cache/text_key.h"
#include "serve/tasks/embed_model.h"
#include "serve/tasks/embed_queue.h"

namespace sis::tasks {

struct EmbedInput {
  std::string text;                 // valid UTF-8
  std::optional<std::string> pair;  // the second text of a pair; cut before the first one is
  std::vector<int32_t> ids;         // used as they are when `tokenised`
  bool tokenised = false;
};

struct EmbedRequest {
  std::vector<EmbedInput> inputs;         // at least one
  bool truncate = true;                   // false: an input longer than the limit is an error
  int32_t tokens_max = 0;                 // a limit below the model's; 0: the model's
  TimePoint deadline = TimePoint::max();  // the client's; the service's timeout may come first
  // Told once how many tokens the device has to compute for this request (0: others have asked for
  // the same texts), inside submit() or on the prep pool.
  std::function<void(int64_t tokens)> on_tokens;
  // Of the inputs, once the service has made them; they must not change after that.
  std::vector<cache::TextKey> keys = {};
};

struct Embedded {
  std::vector<float> vector;
  int32_t tokens = 0;  // after truncation
};

struct EmbedAnswer {
  // In input order. Shared: the cache and several answers may hold the same vector.
  std::vector<std::shared_ptr<const Embedded>> items;
  int64_t tokens = 0;
  int32_t cache_hits = 0;
  Duration queue{}, compute{};  // of the slowest text: waiting for the device, and on it
};

// What the service tells about itself; called from its threads, must be cheap.
class EmbedObserver {
 public:
  virtual ~EmbedObserver() = default;
  virtual void on_lookup(int hits, int misses) = 0;
  virtual void on_batch(int texts, int tokens, std::span<const Duration> waits,
                        Duration compute) = 0;
  // A step or a preparation ended with an exception, which its requests hear of without `what`.
  virtual void on_failure(const std::string& what) { (void)what; }
};

struct EmbedOptions {
  EmbedQueueOptions queue;
  int32_t queue_requests_max = 64;  // in the queue; as many again may wait for room
  Duration queue_room_timeout = from_seconds(2);
  Duration timeout = from_seconds(60);  // from submit() to the answer
  size_t cache_entries = 256;
  double lane_weight = 1;
};

class EmbedService {
 public:
  using Done = std::function<void(Result<EmbedAnswer>)>;

  // Keeps references to all of these.
  EmbedService(EmbedModel model, const EmbedOptions& options, engine::DeviceExecutor& executor,
               TaskPool& prep, const Clock& clock, EmbedObserver& observer);
  // Everything still waiting is answered kUnavailable; no job of it touches the executor or the
  // observer afterwards. Not inside a callback.
  ~EmbedService();
  EmbedService(const EmbedService&) = delete;

  // Destroying it cancels the request: `done` is then not called any more.
  class Ticket {
   public:
    virtual ~Ticket() = default;
  };

  // `done` is called exactly once unless the ticket is destroyed first: inside submit() (then no
  // ticket comes back) or later on another thread. Errors: kInvalidArgument (too long, id outside
  // the vocabulary), kOverloaded, kDeadline, kUnavailable.
  std::unique_ptr<Ticket> submit(EmbedRequest request, Done done);

  // Whether all its texts are in the cache now, so that it needs nothing of the device. Makes its
  // keys, which submit() then need not.
  bool is_cached(EmbedRequest& request) const;

  // Ends what is over its deadline; to be called every few milliseconds.
  void sweep();
  // Refuses new requests; what is admitted runs on.
  void close();
  // Refuses new requests and answers what is open with kUnavailable.
  void end_all();

  const EmbedModel& model() const;
  int64_t requests_queued() const;  // in the queue or waiting for room
  int64_t requests_open() const;    // admitted and unanswered
  bool is_computing() const;        // a batch is on the device
  const EmbedOptions& options() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // tickets and prep jobs may outlive the service for a moment
};

}  // namespace sis::tasks
