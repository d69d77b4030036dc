#include "serve/cache/memory_cache.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::cache {
namespace {

CacheKey key_of(int number) { return *cache_key({.prompt = concat(number)}); }

SharedBytes bytes_of(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

std::string got(CacheBackend& cache, int number) {
  std::string text = "never called";
  cache.get(key_of(number), [&](SharedBytes bytes) { text = bytes ? *bytes : "-"; });
  return text;
}

TEST(MemoryCache, KeepsForItsTime) {
  ManualClock clock;
  MemoryCache cache({}, clock);
  EXPECT_EQ(got(cache, 1), "-");
  cache.put(key_of(1), bytes_of("one"), from_seconds(10));
  cache.put(key_of(2), bytes_of("never"), Duration::zero());
  cache.put(key_of(3), bytes_of("for ever"), Duration::max());
  EXPECT_EQ(got(cache, 1), "one");
  EXPECT_EQ(got(cache, 2), "-");
  clock.advance(from_ms(9999));
  EXPECT_EQ(got(cache, 1), "one");
  cache.put(key_of(1), bytes_of("uno"), from_seconds(10));  // a new life
  clock.advance(from_ms(9999));
  EXPECT_EQ(got(cache, 1), "uno");
  clock.advance(from_ms(1));
  EXPECT_EQ(got(cache, 1), "-");
  EXPECT_EQ(got(cache, 3), "for ever");
  EXPECT_EQ(cache.stats().entries, 1);
  EXPECT_EQ(cache.stats().bytes, static_cast<int64_t>(8 + MemoryCache::kEntryOverheadBytes));
}

TEST(MemoryCache, TheLeastRecentlyUsedLeavesFirst) {
  ManualClock clock;
  MemoryCache cache({.entries_max = 3}, clock);
  for (const int i : {1, 2, 3}) cache.put(key_of(i), bytes_of(concat(i)), from_seconds(10));
  EXPECT_EQ(got(cache, 1), "1");
  cache.put(key_of(4), bytes_of("4"), from_seconds(10));
  EXPECT_EQ(got(cache, 2), "-");
  for (const int i : {1, 3, 4}) EXPECT_EQ(got(cache, i), concat(i));
}

// The bound on bytes holds at all times, and what is too large alone is not kept at all.
TEST(MemoryCache, BoundsBytes) {
  ManualClock clock;
  const MemoryCacheOptions options{
      .entries_max = 1000, .bytes_max = 20000, .entry_bytes_max = 5000};
  MemoryCache cache(options, clock);
  cache.put(key_of(0), bytes_of(std::string(5001, 'x')), from_seconds(10));
  EXPECT_EQ(cache.stats().entries, 0);
  Rng rng(5);
  for (int i = 0; i < 2000; ++i) {
    const int number = static_cast<int>(rng.below(50));
    cache.put(key_of(number), bytes_of(std::string(rng.below(5001), 'x')), from_seconds(10));
    const auto stats = cache.stats();
    ASSERT_LE(stats.bytes, static_cast<int64_t>(options.bytes_max));
    ASSERT_GT(stats.entries, 0);
    ASSERT_NE(got(cache, number), "-");
  }
  for (int i = 0; i < 50; ++i)
    cache.put(key_of(i), bytes_of(std::string(5000, 'x')), from_seconds(10));
  EXPECT_EQ(cache.stats().entries, 3);
}

TEST(MemoryCache, NothingIsKeptWithoutRoom) {
  ManualClock clock;
  MemoryCache none({.entries_max = 0}, clock), tiny({.bytes_max = 10}, clock);
  for (CacheBackend* cache :
       {static_cast<CacheBackend*>(&none), static_cast<CacheBackend*>(&tiny)}) {
    cache->put(key_of(1), bytes_of("x"), from_seconds(10));
    EXPECT_EQ(got(*cache, 1), "-");
    EXPECT_EQ(cache->stats().entries, 0);
  }
}

// Threads that read and write the same few keys only ever see whole values.
TEST(MemoryCache, ManyThreads) {
  SteadyClock clock;
  MemoryCache cache({.entries_max = 8, .bytes_max = 100000}, clock);
  std::atomic<int> wrong{0}, found{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Rng rng(static_cast<uint64_t>(t));
      for (int i = 0; i < 5000; ++i) {
        const int number = static_cast<int>(rng.below(16));
        if (rng.below(2) == 0)
          cache.put(key_of(number), bytes_of(std::string(100, static_cast<char>('a' + number))),
                    from_seconds(100));
        else
          cache.get(key_of(number), [&](SharedBytes bytes) {
            if (!bytes) return;
            ++found;
            wrong += *bytes != std::string(100, static_cast<char>('a' + number));
          });
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(found, 100);
  EXPECT_LE(cache.stats().entries, 8);
}

}  // namespace
}  // namespace sis::cache
