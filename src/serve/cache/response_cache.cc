#include "serve/cache/response_cache.h"

#include <utility>

namespace sis::cache {
namespace {

// What only concerns the client that led: the next one may fare better.
bool is_the_leaders_own(Code code) {
  return code == Code::kCancelled || code == Code::kDeadline || code == Code::kRateLimited ||
         code == Code::kUnauthenticated;
}

}  // namespace

struct ResponseCache::State {
  State(const ResponseCacheOptions& o, std::shared_ptr<CacheBackend> b, const Clock& clock,
        CacheObserver& told)
      : options(o), backend(std::move(b)), observer(told), flights(clock, o.waiters_max) {}

  const ResponseCacheOptions options;
  const std::shared_ptr<CacheBackend> backend;  // shared: its calls in flight hold it
  CacheObserver& observer;
  SingleFlight flights;
};

void ResponseCache::Lead::publish(std::string bytes) {
  const auto state = std::exchange(state_, nullptr);
  if (!state) return;
  const auto shared = std::make_shared<const std::string>(std::move(bytes));
  // Kept before it lands: who comes between the two finds it.
  if (shared->size() <= state->options.entry_bytes_max)
    state->backend->put(key_, shared, state->options.ttl);
  flight_.land(shared);
}

void ResponseCache::Lead::fail(const Error& error) {
  state_ = nullptr;
  if (is_the_leaders_own(error.code))
    flight_.hand_over();
  else
    flight_.fail(error);
}

void ResponseCache::Lead::abandon() {
  state_ = nullptr;
  flight_.hand_over();
}

const char* ResponseCache::Outcome::word() const {
  switch (source) {
    case Source::kHit:
      return "hit";
    case Source::kMiss:
      return "miss";
    case Source::kJoin:
      return "join";
  }
  return "";
}

ResponseCache::ResponseCache(const ResponseCacheOptions& options,
                             std::shared_ptr<CacheBackend> backend, const Clock& clock,
                             CacheObserver& observer)
    : state_(std::make_shared<State>(options, std::move(backend), clock, observer)) {}

ResponseCache::~ResponseCache() { close(); }

std::unique_ptr<ResponseCache::Ticket> ResponseCache::lookup(const CacheKey& key, Duration wait,
                                                             Done done) {
  auto entry = state_->flights.enter(
      key, wait, [state = state_, key, done = std::move(done)](SingleFlight::Landing landing) {
        Outcome outcome;
        if (landing.bytes.ok() && !*landing.bytes) {
          state->observer.on_miss();
          outcome.lead.state_ = state;
          outcome.lead.key_ = key;
          outcome.lead.flight_ = std::move(landing.lead);
        } else if (landing.found) {
          state->observer.on_hit();
          outcome.source = Source::kHit;
        } else {
          state->observer.on_join();
          outcome.source = Source::kJoin;
        }
        outcome.bytes = std::move(landing.bytes);
        done(std::move(outcome));
      });
  if (!entry.began) return std::move(entry.ticket);
  // The backend's answer is the flight's first leader. A call that the backend drops hands over.
  auto lead = std::make_shared<SingleFlight::Lead>(std::move(entry.lead));
  state_->backend->get(key, [lead = std::move(lead)](SharedBytes bytes) {
    if (bytes)
      lead->land(std::move(bytes), /*found=*/true);
    else
      lead->hand_over();
  });
  return std::move(entry.ticket);
}

Result<CacheKey> ResponseCache::key(const KeyParts& parts) const {
  return cache_key(parts, state_->options.prompt_form);
}

void ResponseCache::sweep() { state_->flights.sweep(); }

void ResponseCache::close() { state_->flights.close(); }

CacheBackend::Stats ResponseCache::stats() const { return state_->backend->stats(); }

}  // namespace sis::cache
