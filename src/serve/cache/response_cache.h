// The response cache as routes use it: look a response up, or do the work once for everyone who
// asks for the same.
//
//   ticket = cache.lookup(key, wait, [](ResponseCache::Outcome outcome) {
//     if (!outcome.bytes.ok()) answer the error
//     else if (*outcome.bytes) answer the bytes, X-Cache: outcome.word()      (hit or join)
//     else keep outcome.lead, do the work, then
//          outcome.lead.publish(bytes)   worked: kept, and everyone who joined is answered
//          outcome.lead.fail(error)      failed: everyone who joined gets the error, unless it is
//                                        one of the leader's own (below)
//          outcome.lead.abandon()        given up, the client left: the next one who joined leads
//   });
//
// Authentication, rate limits and the check of the request come before the look-up: what is
// refused there never reaches it. Only admitted, well-formed requests whose answer is worth
// keeping look up. The cache never fails a request and never delays one by more than the backend's
// budget: Redis slow, paused or gone is a miss.
//
// Errors: fail() with kCancelled, kDeadline, kRateLimited or kUnauthenticated is the leader's own
// doing and therefore abandons; all others reach everyone who joined. Who waits longer than its
// `wait` gets kDeadline. Any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "serve/cache/cache_backend.h"
#include "serve/cache/cache_key.h"
#include "serve/cache/single_flight.h"

namespace sis::cache {

// Told about every look-up; from any thread, must be cheap.
class CacheObserver {
 public:
  virtual ~CacheObserver() = default;
  virtual void on_hit() = 0;   // the backend had it
  virtual void on_miss() = 0;  // the caller has to do the work
  virtual void on_join() = 0;  // answered by somebody else's work, with bytes or with its error
};

struct ResponseCacheOptions {
  Duration ttl = from_seconds(3600);
  PromptForm prompt_form = PromptForm::kExact;
  size_t entry_bytes_max = 1 << 20;  // larger responses are handed to who joined, but not kept
  size_t waiters_max = 4096;         // joining at a time; more do their own work
};

class ResponseCache {
  struct State;

 public:
  // The duty to do the work. Movable; dropping it abandons. Each call ends it.
  class Lead {
   public:
    Lead() = default;
    void publish(std::string bytes);
    void fail(const Error& error);
    void abandon();
    explicit operator bool() const { return state_ != nullptr; }

   private:
    friend class ResponseCache;
    std::shared_ptr<State> state_;
    CacheKey key_;
    SingleFlight::Lead flight_;
  };

  enum class Source : uint8_t { kHit, kMiss, kJoin };

  struct Outcome {
    Source source = Source::kMiss;
    // kHit, kJoin: the bytes as they were published. kMiss: null, and `lead` is set. An error when
    // the work that this one joined failed, or took too long.
    Result<SharedBytes> bytes = SharedBytes();
    Lead lead;

    const char* word() const;  // "hit", "miss", "join": for X-Cache
  };
  using Done = std::function<void(Outcome)>;

  // Destroying it leaves the line at no cost to others; `done` is then not called any more, unless
  // the call has begun already on another thread (its lead, if any, is then the callee's to drop).
  using Ticket = SingleFlight::Ticket;

  // `clock` and `observer` outlive the cache, its leads and its tickets.
  ResponseCache(const ResponseCacheOptions& options, std::shared_ptr<CacheBackend> backend,
                const Clock& clock, CacheObserver& observer);
  ~ResponseCache();
  ResponseCache(const ResponseCache&) = delete;

  // `done` is called exactly once: inside lookup(), on the backend's thread, on the thread of the
  // leader that lands or gives up, or in sweep(). It must be cheap: whoever has much to do moves to
  // a pool. `wait`: how long this one waits for another's work.
  [[nodiscard]] std::unique_ptr<Ticket> lookup(const CacheKey& key, Duration wait, Done done);

  // The key of a request, its prompt in the form that the settings ask for.
  Result<CacheKey> key(const KeyParts& parts) const;

  // Ends waits that are over; to be called every few milliseconds.
  void sweep();
  // Ends everything: who waits gets kUnavailable, later look-ups miss. Before what the callers'
  // callbacks use is destroyed.
  void close();

  CacheBackend::Stats stats() const;

 private:
  std::shared_ptr<State> state_;  // shared: leads and backend calls may outlive the object
};

}  // namespace sis::cache
