// Where responses are kept: bytes by key, bounded in size and time.
//
// A backend never fails a request: what it cannot tell, for whatever reason, is a miss.
#pragma once

#include <cstdint>
#include <functional>

#include "base/clock.h"
#include "serve/cache/cache_key.h"
#include "serve/cache/single_flight.h"

namespace sis::cache {

class CacheBackend {
 public:
  virtual ~CacheBackend() = default;

  // `done` is called once: inside the call or on a thread of the backend's, within its time budget.
  // Null: not there, or not to be had. Must be cheap.
  using Got = std::function<void(SharedBytes bytes)>;
  virtual void get(const CacheKey& key, Got done) = 0;
  // Returns at once; may drop the value (too large, no room, backend gone). A `ttl` of zero or less
  // keeps nothing.
  virtual void put(const CacheKey& key, SharedBytes bytes, Duration ttl) = 0;

  struct Stats {
    int64_t entries = 0, bytes = 0;  // held in this process
    int64_t errors = 0;              // times an outside store could not answer or answered garbage
    bool outside = false;            // there is an outside store
    bool outside_healthy = false;    // and it answers
  };
  virtual Stats stats() const = 0;
};

}  // namespace sis::cache
