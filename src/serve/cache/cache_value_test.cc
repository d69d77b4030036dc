#include "serve/cache/cache_value.h"

#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"

namespace sis::cache {
namespace {

CacheKey key_of(std::string_view prompt) { return *cache_key({.prompt = prompt}); }

TEST(CacheValue, ComesBackUnderItsKey) {
  const CacheKey key = key_of("a");
  for (const std::string& bytes : {std::string(), std::string("x"), std::string(100000, '\0')}) {
    const std::string value = encode_cache_value(key, bytes);
    EXPECT_EQ(value.size(), bytes.size() + kCacheValueHeaderBytes);
    EXPECT_EQ(decode_cache_value(key, value), bytes);
    EXPECT_EQ(decode_cache_value(key_of("b"), value), std::nullopt);
  }
}

// Cut anywhere, longer, or one bit changed anywhere: none.
TEST(CacheValue, AnyChangeMakesItNone) {
  const CacheKey key = key_of("a");
  const std::string value = encode_cache_value(key, R"({"text":"hello"})");
  for (size_t size = 0; size < value.size(); ++size)
    EXPECT_EQ(decode_cache_value(key, value.substr(0, size)), std::nullopt) << size;
  EXPECT_EQ(decode_cache_value(key, value + "x"), std::nullopt);
  for (size_t bit = 0; bit < value.size() * 8; ++bit) {
    std::string changed = value;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    EXPECT_EQ(decode_cache_value(key, changed), std::nullopt) << bit;
  }
}

TEST(CacheValue, RandomBytesAreNone) {
  Rng rng(3);
  const CacheKey key = key_of("a");
  for (int round = 0; round < 20000; ++round) {
    std::string value = rng.below(2) == 0 ? "" : encode_cache_value(key, "").substr(0, 16);
    for (uint64_t i = rng.below(80); i > 0; --i) value += static_cast<char>(rng.next());
    ASSERT_EQ(decode_cache_value(key, value), std::nullopt) << round;
  }
}

}  // namespace
}  // namespace sis::cache
