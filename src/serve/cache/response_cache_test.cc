#include "serve/cache/response_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "base/strings.h"
#include "serve/cache/memory_cache.h"

namespace sis::cache {
namespace {

const CacheKey kKey = *cache_key({.prompt = "p"});
constexpr Duration kLong = std::chrono::hours(1);

// Answers when the test says so, as a store across a network does.
class SlowBackend final : public CacheBackend {
 public:
  void get(const CacheKey&, Got done) override { asked.push_back(std::move(done)); }
  void put(const CacheKey&, SharedBytes bytes, Duration ttl) override {
    stored.emplace_back(*bytes, ttl);
  }
  Stats stats() const override { return {}; }

  std::vector<Got> asked;
  std::vector<std::pair<std::string, Duration>> stored;
};

struct Counts final : CacheObserver {
  void on_hit() override { ++hits; }
  void on_miss() override { ++misses; }
  void on_join() override { ++joins; }
  std::atomic<int> hits{0}, misses{0}, joins{0};
};

struct Guest {
  std::string state;  // "", "miss", "hit x", "join x", "join error"
  ResponseCache::Lead lead;
  std::unique_ptr<ResponseCache::Ticket> ticket;

  void look_up(ResponseCache& cache, const CacheKey& key = kKey, Duration wait = kLong) {
    ticket = cache.lookup(key, wait, [this](ResponseCache::Outcome outcome) {
      EXPECT_EQ(state, "") << "called twice";
      state = outcome.word();
      if (!outcome.bytes.ok())
        state += concat(" ", code_name(outcome.bytes.error().code));
      else if (*outcome.bytes)
        state += " " + **outcome.bytes;
      EXPECT_EQ(static_cast<bool>(outcome.lead), state == "miss");
      lead = std::move(outcome.lead);
    });
  }
};

struct Fixture {
  explicit Fixture(ResponseCacheOptions options = {}) : cache(options, slow, clock, counts) {}
  ManualClock clock;
  std::shared_ptr<SlowBackend> slow = std::make_shared<SlowBackend>();
  Counts counts;
  ResponseCache cache;
};

// Who comes during the look-up or the work joins; one look-up and one piece of work in all.
TEST(ResponseCache, OneMissManyJoins) {
  Fixture f({.ttl = from_seconds(7)});
  std::vector<Guest> guests(3);
  guests[0].look_up(f.cache);
  guests[1].look_up(f.cache);
  ASSERT_EQ(f.slow->asked.size(), 1u);
  f.slow->asked[0](nullptr);
  EXPECT_EQ(guests[0].state, "miss");
  EXPECT_EQ(guests[1].state, "");
  guests[2].look_up(f.cache);
  ASSERT_EQ(f.slow->asked.size(), 1u);
  guests[0].lead.publish("x");
  EXPECT_FALSE(guests[0].lead);
  for (const int i : {1, 2}) EXPECT_EQ(guests[static_cast<size_t>(i)].state, "join x");
  ASSERT_EQ(f.slow->stored.size(), 1u);
  EXPECT_EQ(f.slow->stored[0].first, "x");
  EXPECT_EQ(f.slow->stored[0].second, from_seconds(7));
  EXPECT_EQ(f.counts.misses, 1);
  EXPECT_EQ(f.counts.joins, 2);
  EXPECT_EQ(f.counts.hits, 0);
}

TEST(ResponseCache, AHitIsForEveryoneWhoWaitsForTheLookUp) {
  Fixture f;
  std::vector<Guest> guests(3);
  for (auto& guest : guests) guest.look_up(f.cache);
  guests[0].ticket.reset();  // the one that asked leaves; the look-up serves the others
  f.slow->asked[0](std::make_shared<const std::string>("x"));
  EXPECT_EQ(guests[0].state, "");
  for (const int i : {1, 2}) EXPECT_EQ(guests[static_cast<size_t>(i)].state, "hit x");
  EXPECT_EQ(f.counts.hits, 2);
  EXPECT_TRUE(f.slow->stored.empty());
}

// What is the leader's own never reaches who joined; what failed for all does.
TEST(ResponseCache, OnlyErrorsOfTheWorkReachWhoJoined) {
  for (const Code code :
       {Code::kCancelled, Code::kDeadline, Code::kRateLimited, Code::kUnauthenticated}) {
    Fixture f;
    std::vector<Guest> guests(3);
    for (auto& guest : guests) guest.look_up(f.cache);
    f.slow->asked[0](nullptr);
    guests[0].lead.fail({code, "mine"});
    EXPECT_EQ(guests[1].state, "miss") << code_name(code);
    EXPECT_EQ(guests[2].state, "");
    guests[1].lead.publish("x");
    EXPECT_EQ(guests[2].state, "join x");
    EXPECT_EQ(f.counts.misses, 2);
  }
  for (const Code code : {Code::kInternal, Code::kOverloaded, Code::kInvalidArgument,
                          Code::kUnavailable, Code::kTooLarge, Code::kNotFound}) {
    Fixture f;
    std::vector<Guest> guests(3);
    for (auto& guest : guests) guest.look_up(f.cache);
    f.slow->asked[0](nullptr);
    guests[0].lead.fail({code, "everybody's"});
    for (const size_t i : {1, 2}) EXPECT_EQ(guests[i].state, concat("join ", code_name(code)));
    EXPECT_TRUE(f.slow->stored.empty());
  }
}

TEST(ResponseCache, AnAbandonedOrDroppedLeadIsTheNextOnes) {
  Fixture f;
  std::vector<Guest> guests(4);
  for (auto& guest : guests) guest.look_up(f.cache);
  f.slow->asked[0](nullptr);
  guests[0].lead.abandon();
  EXPECT_EQ(guests[1].state, "miss");
  guests[1].lead = {};
  EXPECT_EQ(guests[2].state, "miss");
  guests[2].lead.publish("x");
  EXPECT_EQ(guests[3].state, "join x");
  EXPECT_EQ(f.slow->asked.size(), 1u);
}

// A backend that forgets its callback, and one that answers after the cache is gone.
TEST(ResponseCache, ABackendThatDropsItsCallIsAMiss) {
  Guest forgotten, late;
  std::vector<CacheBackend::Got> asked;
  {
    Fixture f;
    forgotten.look_up(f.cache);
    f.slow->asked.clear();
    EXPECT_EQ(forgotten.state, "miss");
    forgotten.lead.abandon();
    late.look_up(f.cache);
    asked = std::move(f.slow->asked);
  }
  EXPECT_EQ(late.state, "join unavailable");
  asked[0](std::make_shared<const std::string>("x"));
  EXPECT_EQ(late.state, "join unavailable");
}

TEST(ResponseCache, BoundsWhatItKeepsAndHowLongOneWaits) {
  Fixture f({.entry_bytes_max = 3, .waiters_max = 2});
  std::vector<Guest> guests(3);
  guests[0].look_up(f.cache);
  f.slow->asked[0](nullptr);
  guests[1].look_up(f.cache, kKey, from_seconds(1));
  guests[2].look_up(f.cache, kKey, from_seconds(9));
  Guest one_too_many;
  one_too_many.look_up(f.cache);
  EXPECT_EQ(one_too_many.state, "miss");  // works on its own
  f.clock.advance(from_seconds(1));
  f.cache.sweep();
  EXPECT_EQ(guests[1].state, "join deadline");
  guests[0].lead.publish("four");
  EXPECT_EQ(guests[2].state, "join four");
  EXPECT_TRUE(f.slow->stored.empty());
  one_too_many.lead.publish("two");
  EXPECT_EQ(f.slow->stored.size(), 1u);
}

// Threads that ask for a few keys of a memory cache, while leaders take their time, give up or
// fail: every answer is the key's own, and most work is done once.
TEST(ResponseCache, ManyThreads) {
  SteadyClock clock;
  Counts counts;
  ResponseCache cache({.ttl = from_ms(2)},
                      std::make_shared<MemoryCache>(MemoryCacheOptions{}, clock), clock, counts);
  std::atomic<int> wrong{0}, answered{0}, given_up{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Rng rng(static_cast<uint64_t>(t));
      for (int i = 0; i < 2000; ++i) {
        const std::string text = concat("answer ", rng.below(4));
        const CacheKey key = *cache_key({.prompt = text});
        const auto done = std::make_shared<std::atomic<bool>>(false);
        const uint64_t act = rng.below(4);
        const auto ticket = cache.lookup(key, kLong, [&, text, done, act](auto outcome) {
          if (!outcome.bytes.ok()) {
            wrong += outcome.bytes.error().message != text;
          } else if (*outcome.bytes) {
            wrong += **outcome.bytes != text;
          } else if (act == 0) {
            outcome.lead.fail({Code::kInternal, text});
          } else if (act == 1) {
            ++given_up;
            outcome.lead.abandon();
          } else {
            outcome.lead.publish(text);
          }
          ++answered;
          *done = true;
        });
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!*done && std::chrono::steady_clock::now() < until) std::this_thread::yield();
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(answered, 8000);
  EXPECT_GT(given_up, 0);
  EXPECT_EQ(counts.hits + counts.misses + counts.joins, 8000);
  EXPECT_GT(counts.hits, 1000);
}

}  // namespace
}  // namespace sis::cache
