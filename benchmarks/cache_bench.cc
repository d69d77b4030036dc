// What the response cache costs a request: its key, a look-up, and the round trip to a Redis.
//
//   cache_bench [--smoke] [--redis URL]
//
// CPU time of the calling thread per operation, the median of five runs; with --redis also the
// latency of one get at a time and the rate of many at once, by wall time.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "net/redis_client.h"
#include "serve/cache/cache_value.h"
#include "serve/cache/memory_cache.h"
#include "serve/cache/redis_cache.h"
#include "serve/cache/response_cache.h"

#ifndef SIS_COMMIT
#define SIS_COMMIT "unknown"
#endif

namespace {

using namespace sis;
using namespace sis::cache;

double thread_cpu_us() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

void report(const char* name, int rounds, const std::function<void(int)>& body) {
  std::vector<double> runs;
  for (int run = 0; run < 5; ++run) {
    const double begin = thread_cpu_us();
    for (int i = 0; i < rounds; ++i) body(i);
    runs.push_back((thread_cpu_us() - begin) / rounds);
  }
  std::nth_element(runs.begin(), runs.begin() + 2, runs.end());
  std::printf("%-44s %9.2f us\n", name, runs[2]);
}

struct Uncounted final : CacheObserver {
  void on_hit() override {}
  void on_miss() override {}
  void on_join() override {}
};

std::string body_of(size_t prompt_bytes) {
  return concat(R"({"model":"m","temperature":0,"max_tokens":64,"messages":[{"role":"user",)",
                R"("content":")", std::string(prompt_bytes, 'x'), R"("}]})");
}

CacheKey key_of(int number) { return *cache_key({.prompt = concat(number)}); }

int measure_redis(const char* text, int rounds) {
  const auto url = net::parse_redis_url(text);
  if (!url.ok()) return std::fprintf(stderr, "%s\n", url.error().message.c_str()), 1;
  const std::shared_ptr<net::RedisClient> client = net::RedisClient::create(*url, {}, {});
  for (int i = 0; i < 200 && !client->healthy(); ++i) usleep(10'000);
  if (!client->healthy()) return std::fprintf(stderr, "no Redis at %s\n", url->place().c_str()), 1;
  SteadyClock clock;
  RedisCache cache({.budget = from_seconds(5)}, client,
                   std::make_shared<MemoryCache>(MemoryCacheOptions{}, clock));
  const CacheKey key = key_of(0);
  cache.put(key, std::make_shared<const std::string>(4096, 'x'), from_seconds(60));
  std::vector<double> latencies;
  std::atomic<int> found{0}, ended{0};
  for (int i = 0; i < rounds; ++i) {
    const TimePoint begin = clock.now();
    cache.get(key, [&](SharedBytes bytes) {
      found += bytes != nullptr;
      ++ended;
      ended.notify_one();
    });
    ended.wait(i);
    latencies.push_back(to_ms(clock.now() - begin) * 1e3);
  }
  std::sort(latencies.begin(), latencies.end());
  std::printf("%-44s %9.2f us (p99 %.0f us, %d samples, %d found)\n",
              "Redis, 4 KiB, one at a time, p50", latencies[latencies.size() / 2],
              latencies[latencies.size() * 99 / 100], rounds, found.load());
  const TimePoint begin = clock.now();
  ended = found = 0;
  for (int i = 0; i < rounds; ++i) {
    while (i - ended >= 256) std::this_thread::yield();
    cache.get(key, [&](SharedBytes bytes) {
      found += bytes != nullptr;
      ++ended;
    });
  }
  while (ended < rounds) std::this_thread::yield();
  std::printf("%-44s %9.0f /s (%d found)\n", "Redis, 4 KiB, 256 at a time",
              rounds / to_seconds(clock.now() - begin), found.load());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bool smoke = false;
  const char* redis = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--smoke") == 0) smoke = true;
    if (std::strcmp(argv[i], "--redis") == 0 && i + 1 < argc) redis = argv[++i];
  }
  const int rounds = smoke ? 200 : 20000;
  std::printf("cache_bench: commit %s, %d rounds a run\n", SIS_COMMIT, rounds);

  for (const size_t bytes : {size_t{200}, size_t{4000}}) {
    const std::string body = body_of(bytes);
    report(concat("key of a chat of ", body.size(), " bytes").c_str(), rounds, [&](int) {
      const auto key = cache_key({.route = "/v1/chat/completions", .model = "m", .params = body});
      if (!key.ok()) std::abort();
    });
  }
  const std::string response(4096, 'x');
  const std::string value = encode_cache_value(key_of(0), response);
  report("stored value of 4 KiB: check", rounds, [&](int) {
    if (!decode_cache_value(key_of(0), value)) std::abort();
  });

  SteadyClock clock;
  Uncounted observer;
  ResponseCache cache({}, std::make_shared<MemoryCache>(MemoryCacheOptions{}, clock), clock,
                      observer);
  std::vector<CacheKey> keys;
  for (int i = 0; i < 5 * rounds; ++i) keys.push_back(key_of(i));
  size_t next = 0;
  report("look-up and publish, a miss in memory", rounds, [&](int) {
    const auto ticket = cache.lookup(keys[next++], from_seconds(1),
                                     [&](auto outcome) { outcome.lead.publish(response); });
  });
  report("look-up, a hit in memory", rounds, [&](int) {
    const auto ticket = cache.lookup(keys[next - 1], from_seconds(1), [](auto outcome) {
      if (!*outcome.bytes) std::abort();
    });
  });
  return redis != nullptr ? measure_redis(redis, rounds) : 0;
}
