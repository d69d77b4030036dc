// What the cache makes of a Redis that answers, fails, lies or is gone. The client itself has tests
// of its own; here it is spoken for.
#include "serve/cache/redis_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "serve/cache/cache_value.h"
#include "serve/cache/memory_cache.h"

namespace sis::cache {
namespace {

using net::RedisReply;

class SpokenRedis final : public net::RedisClient {
 public:
  void command(std::vector<std::string> words, Duration budget, Done done) override {
    seen.push_back(words);
    EXPECT_EQ(budget, from_ms(20));
    if (error) return done(*error);
    RedisReply reply;
    if (words[0] == "GETRANGE") {
      reply.kind = RedisReply::Kind::kText;
      reply.text = stored[words[1]].substr(0, std::stoul(words[3]) + 1);
    } else {
      reply.kind = RedisReply::Kind::kStatus;
      stored[words[1]] = words[2];
    }
    done(std::move(reply));
  }
  void eval(std::shared_ptr<const net::RedisScript>, std::vector<std::string>,
            std::vector<std::string>, Duration, Done) override {
    ADD_FAILURE() << "the cache has no scripts";
  }
  void close() override {}
  bool healthy() const override { return up; }
  net::RedisStats stats() const override { return {}; }

  std::map<std::string, std::string> stored;
  std::vector<std::vector<std::string>> seen;
  std::optional<Error> error;
  bool up = true;
};

const CacheKey kKey = *cache_key({.prompt = "p"});

struct Fixture {
  ManualClock clock;
  std::shared_ptr<SpokenRedis> redis = std::make_shared<SpokenRedis>();
  std::shared_ptr<MemoryCache> memory = std::make_shared<MemoryCache>(MemoryCacheOptions{}, clock);
  RedisCache cache{{.budget = from_ms(20), .entry_bytes_max = 100}, redis, memory};

  std::string got() {
    std::string text = "never called";
    cache.get(kKey, [&](SharedBytes bytes) { text = bytes ? *bytes : "-"; });
    return text;
  }
  void put(std::string text) {
    cache.put(kKey, std::make_shared<const std::string>(std::move(text)), from_seconds(5));
  }
};

TEST(RedisCache, KeepsInRedisUnderThePrefix) {
  Fixture f;
  EXPECT_EQ(f.got(), "-");
  f.put("x");
  EXPECT_EQ(f.got(), "x");
  ASSERT_EQ(f.redis->stored.size(), 1u);
  EXPECT_EQ(f.redis->stored.begin()->first, "inference:" + kKey.hex());
  ASSERT_GE(f.redis->seen.size(), 2u);
  EXPECT_EQ(f.redis->seen[1][3], "PX");
  EXPECT_EQ(f.redis->seen[1][4], "5000");
  EXPECT_EQ(f.memory->stats().entries, 0);
  EXPECT_TRUE(f.cache.stats().outside);
  EXPECT_TRUE(f.cache.stats().outside_healthy);
  EXPECT_EQ(f.cache.stats().errors, 0);
}

// Garbage under the key, another key's value, or one that is cut: misses, and counted.
TEST(RedisCache, GarbageIsAMiss) {
  Fixture f;
  std::string& value = f.redis->stored["inference:" + kKey.hex()];
  const std::string good = encode_cache_value(kKey, std::string(100, 'x'));
  int64_t errors = 0;
  for (const std::string& bad :
       {std::string("garbage"), encode_cache_value(*cache_key({.prompt = "q"}), "x"),
        good.substr(0, 50), encode_cache_value(kKey, std::string(101, 'x'))}) {
    value = bad;
    EXPECT_EQ(f.got(), "-");
    EXPECT_EQ(f.cache.stats().errors, ++errors);
  }
  value = good;
  EXPECT_EQ(f.got(), std::string(100, 'x'));
}

// What cannot be said to Redis is kept here, and found here as long as Redis cannot be asked.
TEST(RedisCache, FallsBackAndComesBack) {
  Fixture f;
  f.redis->error = Error{Code::kDeadline, "late"};
  EXPECT_EQ(f.got(), "-");
  f.put("x");
  EXPECT_EQ(f.memory->stats().entries, 1);
  EXPECT_EQ(f.got(), "x");
  EXPECT_EQ(f.cache.stats().errors, 3);
  f.redis->up = false;
  const size_t asked = f.redis->seen.size();
  EXPECT_EQ(f.got(), "x");
  f.put("y");
  EXPECT_EQ(f.got(), "y");
  EXPECT_EQ(f.redis->seen.size(), asked) << "not asked while it is gone";
  EXPECT_FALSE(f.cache.stats().outside_healthy);
  f.redis->up = true;
  f.redis->error.reset();
  EXPECT_EQ(f.got(), "-");  // Redis can be asked again and does not have it
}

TEST(RedisCache, LargeOrShortLivedResponsesAreNotSent) {
  Fixture f;
  f.put(std::string(101, 'x'));
  f.cache.put(kKey, std::make_shared<const std::string>("x"), Duration::zero());
  EXPECT_TRUE(f.redis->seen.empty());
  EXPECT_EQ(f.memory->stats().entries, 0);
}

}  // namespace
}  // namespace sis::cache
