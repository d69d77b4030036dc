// Responses in this process: bounded by entries, by bytes and by time, the least recently used
// leave first. Any thread; one mutex, held for look-ups only.
#pragma once

#include <cstddef>
#include <mutex>

#include "serve/cache/cache_backend.h"
#include "serve/cache/lru.h"

namespace sis::cache {

struct MemoryCacheOptions {
  size_t entries_max = 10000;
  size_t bytes_max = 256 << 20;      // of all responses, with kEntryOverheadBytes for each
  size_t entry_bytes_max = 1 << 20;  // larger ones are not kept
};

class MemoryCache final : public CacheBackend {
 public:
  // Keys, links and control blocks around a response, about.
  static constexpr size_t kEntryOverheadBytes = 256;

  MemoryCache(const MemoryCacheOptions& options, const Clock& clock);

  void get(const CacheKey& key, Got done) override;
  void put(const CacheKey& key, SharedBytes bytes, Duration ttl) override;
  Stats stats() const override;

 private:
  struct Kept {
    SharedBytes bytes;
    TimePoint until;
  };
  void drop(const CacheKey& key, const Kept& kept);

  const MemoryCacheOptions options_;
  const Clock& clock_;
  mutable std::mutex mutex_;  // guards what follows
  Lru<CacheKey, Kept, CacheKeyHash> kept_;
  size_t bytes_ = 0;
};

}  // namespace sis::cache
