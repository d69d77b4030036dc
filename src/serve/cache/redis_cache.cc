#include "serve/cache/redis_cache.h"

#include <chrono>
#include <utility>

#include "serve/cache/cache_value.h"

namespace sis::cache {
namespace {

std::string redis_key(const CacheKey& key) { return "inference:" + key.hex(); }

}  // namespace

RedisCache::RedisCache(const RedisCacheOptions& options, std::shared_ptr<net::RedisClient> redis,
                       std::shared_ptr<CacheBackend> fallback)
    : options_(options), redis_(std::move(redis)), fallback_(std::move(fallback)) {}

void RedisCache::get(const CacheKey& key, Got done) {
  if (!redis_->healthy()) return fallback_->get(key, std::move(done));
  redis_->get(redis_key(key), options_.entry_bytes_max + kCacheValueHeaderBytes, options_.budget,
              [key, errors = errors_, fallback = fallback_,
               done = std::move(done)](Result<std::optional<std::string>> value) {
                if (!value.ok()) {
                  ++*errors;
                  return fallback->get(key, done);
                }
                if (!*value) return done(nullptr);
                const auto bytes = decode_cache_value(key, **value);
                if (!bytes) {
                  ++*errors;
                  return done(nullptr);
                }
                done(std::make_shared<const std::string>(*bytes));
              });
}

void RedisCache::put(const CacheKey& key, SharedBytes bytes, Duration ttl) {
  if (ttl <= Duration::zero() || bytes->size() > options_.entry_bytes_max) return;
  if (!redis_->healthy()) return fallback_->put(key, std::move(bytes), ttl);
  std::string value = encode_cache_value(key, *bytes);
  redis_->set(
      redis_key(key), std::move(value), ttl, options_.budget,
      [key, errors = errors_, fallback = fallback_, bytes = std::move(bytes), ttl](Status status) {
        if (status.ok()) return;
        ++*errors;
        fallback->put(key, bytes, ttl);
      });
}

CacheBackend::Stats RedisCache::stats() const {
  Stats stats = fallback_->stats();
  stats.errors = errors_->load();
  stats.outside = true;
  stats.outside_healthy = redis_->healthy();
  return stats;
}

}  // namespace sis::cache
