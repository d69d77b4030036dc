// Responses in Redis, shared by several servers; in this process while Redis cannot be had.
//
// Keys are "inference:" and 64 hexadecimal digits, values as cache_value.h has them. Whatever Redis
// fails at is a miss and counted: too slow, gone, another type under the key, garbage. Any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include "net/redis_client.h"
#include "serve/cache/cache_backend.h"

namespace sis::cache {

struct RedisCacheOptions {
  Duration budget = from_ms(50);     // of every call to Redis
  size_t entry_bytes_max = 1 << 20;  // larger ones are neither stored nor read
};

class RedisCache final : public CacheBackend {
 public:
  // `fallback` keeps and answers while Redis does not. `redis` is shared with other users of it.
  RedisCache(const RedisCacheOptions& options, std::shared_ptr<net::RedisClient> redis,
             std::shared_ptr<CacheBackend> fallback);

  void get(const CacheKey& key, Got done) override;
  void put(const CacheKey& key, SharedBytes bytes, Duration ttl) override;
  Stats stats() const override;

 private:
  const RedisCacheOptions options_;
  const std::shared_ptr<net::RedisClient> redis_;
  const std::shared_ptr<CacheBackend> fallback_;
  // Shared with calls in flight, which may outlive the object.
  const std::shared_ptr<std::atomic<int64_t>> errors_ = std::make_shared<std::atomic<int64_t>>(0);
};

}  // namespace sis::cache
