// Redis and what may be kept there: the response cache, and the counts of the rate limit.
#include "serve/cache/memory_cache.h"
#include "serve/cache/redis_cache.h"
#include "serve/server/app_impl.h"

namespace sis::server {
namespace {

cache::PromptForm prompt_form(const Settings& settings) {
  const std::string& word = settings.text("CACHE_PROMPT_FORM");
  if (word == "trimmed") return cache::PromptForm::kTrimmed;
  return word == "lowercase" ? cache::PromptForm::kLowerCase : cache::PromptForm::kExact;
}

}  // namespace

// One client for all that want one; null when nothing does, or when nobody says where Redis is.
Status AppImpl::open_redis() {
  bool wanted = false;
  const std::string& text = settings_.text("REDIS_URL");
  for (const auto& [setting, event] : {std::pair{"CACHE_BACKEND", "cache_backend"},
                                       {"RATE_LIMIT_BACKEND", "rate_limit_backend"}}) {
    if (settings_.text(setting) != "redis") continue;
    wanted = true;
    if (text.empty())
      log_.warning(event, {{"backend", "memory"}, {"reason", "REDIS_URL is not set"}});
  }
  if (!wanted || text.empty()) return {};
  auto url = net::parse_redis_url(text);
  if (!url.ok())
    return prefixed("REDIS_URL (" + settings_.source_of("REDIS_URL") + ")", url.error());
  redis_ = net::RedisClient::create(*url, {}, log_.named("sis.redis"));
  return {};
}

void AppImpl::open_rate_counter() {
  if (!redis_ || settings_.text("RATE_LIMIT_BACKEND") != "redis") return;
  shared_rate_counter_ = std::make_unique<RedisRateCounter>(redis_, rate_counter_,
                                                            settings_.duration("REDIS_TIMEOUT_MS"));
  front_door_.use_counter(*shared_rate_counter_);
  rate_limit_redis_up_ = registry_.gauge_callback(
      "rate_limit_redis_up", "1 while requests are counted in Redis, for all processes.", {},
      [this] {
        return std::vector<telemetry::Sample>{{{}, redis_->healthy() ? 1.0 : 0.0}};
      });
}

void AppImpl::open_cache() {
  const auto entry_bytes_max = static_cast<size_t>(settings_.integer("CACHE_ENTRY_MAX_BYTES"));
  std::shared_ptr<cache::CacheBackend> backend = std::make_shared<cache::MemoryCache>(
      cache::MemoryCacheOptions{
          .entries_max = static_cast<size_t>(settings_.integer("CACHE_MAX_SIZE")),
          .bytes_max = static_cast<size_t>(settings_.integer("CACHE_MAX_BYTES")),
          .entry_bytes_max = entry_bytes_max},
      clock_);
  if (redis_ && settings_.text("CACHE_BACKEND") == "redis")
    backend = std::make_shared<cache::RedisCache>(
        cache::RedisCacheOptions{.budget = settings_.duration("REDIS_TIMEOUT_MS"),
                                 .entry_bytes_max = entry_bytes_max},
        redis_, std::move(backend));
  cache_ = std::make_unique<cache::ResponseCache>(
      cache::ResponseCacheOptions{.ttl = settings_.duration("CACHE_DEFAULT_TTL"),
                                  .prompt_form = prompt_form(settings_),
                                  .entry_bytes_max = entry_bytes_max},
      std::move(backend), clock_, cache_meter_);
  infer_.use_cache(*cache_);
  if (settings_.flag("RESPONSE_CACHE_CHAT")) chat_.use_cache(*cache_);

  const auto sample = [this](auto value) {
    return [this, value] {
      return std::vector<telemetry::Sample>{{{}, static_cast<double>(value(cache_->stats()))}};
    };
  };
  using Stats = cache::CacheBackend::Stats;
  cache_metrics_ = {
      registry_.counter_callback("inference_cache_errors_total",
                                 "Times Redis could not say what it has, or keep more.", {},
                                 sample([](const Stats& stats) { return stats.errors; })),
      registry_.gauge_callback("inference_cache_entries", "Responses in the memory cache.", {},
                               sample([](const Stats& stats) { return stats.entries; })),
      registry_.gauge_callback("inference_cache_bytes", "Their size together.", {},
                               sample([](const Stats& stats) { return stats.bytes; })),
      registry_.gauge_callback("inference_cache_redis_up",
                               "1 while the cache is in Redis and Redis answers.", {},
                               sample([](const Stats& stats) { return stats.outside_healthy; })),
  };
  if (redis_) add_redis_metrics();
}

// Of all its users together: the cache and the shared rate limits.
void AppImpl::add_redis_metrics() {
  using Samples = std::vector<telemetry::Sample>;
  const auto* redis = redis_.get();
  const auto number = [](auto count) { return static_cast<double>(count); };
  cache_metrics_.push_back(registry_.counter_callback(
      "redis_calls_total", "Commands for Redis, those that failed included.", {}, [=] {
        return Samples{{{}, number(redis->stats().calls)}};
      }));
  cache_metrics_.push_back(registry_.counter_callback(
      "redis_failures_total", "Commands without a good reply, and why.", {"reason"}, [=] {
        const auto stats = redis->stats();
        return Samples{{{"not_sent"}, number(stats.refused)},
                       {{"timeout"}, number(stats.timeouts)},
                       {{"error"}, number(stats.errors)}};
      }));
  cache_metrics_.push_back(registry_.counter_callback(
      "redis_connects_total", "Times a connection to Redis came up.", {}, [=] {
        return Samples{{{}, number(redis->stats().connects)}};
      }));
  cache_metrics_.push_back(registry_.gauge_callback(
      "redis_connections_ready", "Connections to Redis that can be used.", {}, [=] {
        return Samples{{{}, number(redis->stats().connections_ready)}};
      }));
}

}  // namespace sis::server
