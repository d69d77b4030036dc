#include "serve/cache/memory_cache.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sis::cache {
namespace {

constexpr Duration kTtlMax = std::chrono::hours(24 * 365);  // sums with any time of a clock

}  // namespace

MemoryCache::MemoryCache(const MemoryCacheOptions& options, const Clock& clock)
    : options_(options), clock_(clock), kept_(options.entries_max) {}

void MemoryCache::get(const CacheKey& key, Got done) {
  SharedBytes bytes;
  {
    const std::lock_guard lock(mutex_);
    if (const Kept* kept = kept_.get(key)) {
      if (kept->until > clock_.now())
        bytes = kept->bytes;
      else
        drop(key, *kept);
    }
  }
  done(std::move(bytes));
}

void MemoryCache::put(const CacheKey& key, SharedBytes bytes, Duration ttl) {
  const size_t size = bytes->size() + kEntryOverheadBytes;
  if (ttl <= Duration::zero() || options_.entries_max == 0 ||
      bytes->size() > options_.entry_bytes_max || size > options_.bytes_max)
    return;
  const std::lock_guard lock(mutex_);
  if (const Kept* before = kept_.get(key)) drop(key, *before);
  while (kept_.size() >= options_.entries_max || bytes_ + size > options_.bytes_max) {
    const auto [oldest, kept] = *kept_.oldest();
    drop(oldest, kept);
  }
  kept_.put(key, {std::move(bytes), clock_.now() + std::min(ttl, kTtlMax)});
  bytes_ += size;
}

void MemoryCache::drop(const CacheKey& key, const Kept& kept) {
  bytes_ -= kept.bytes->size() + kEntryOverheadBytes;
  kept_.erase(CacheKey(key));  // a copy: the entry's own key goes with it
}

CacheBackend::Stats MemoryCache::stats() const {
  const std::lock_guard lock(mutex_);
  return {.entries = static_cast<int64_t>(kept_.size()), .bytes = static_cast<int64_t>(bytes_)};
}

}  // namespace sis::cache
