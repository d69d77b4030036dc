#include "serve/cache/lru.h"

#include <gtest/gtest.h>

#include <string>

#include "serve/cache/text_key.h"

namespace sis::cache {
namespace {

// The entry that was neither read nor written for longest goes first.
TEST(Lru, EvictsTheLeastRecentlyUsed) {
  Lru<std::string, int> lru(3);
  lru.put("a", 1);
  lru.put("b", 2);
  lru.put("c", 3);
  ASSERT_NE(lru.get("a"), nullptr);  // order now a c b
  lru.put("d", 4);
  EXPECT_EQ(lru.get("b"), nullptr);
  lru.put("c", 30);  // replaced and refreshed: c d a
  lru.put("e", 5);
  EXPECT_EQ(lru.get("a"), nullptr);
  EXPECT_EQ(*lru.get("c"), 30);
  EXPECT_EQ(*lru.get("d"), 4);
  EXPECT_EQ(lru.size(), 3u);
}

TEST(Lru, SizeZeroKeepsNothing) {
  Lru<std::string, int> lru(0);
  lru.put("a", 1);
  EXPECT_EQ(lru.get("a"), nullptr);
  EXPECT_EQ(lru.size(), 0u);
}

TEST(TextKey, SaltAndKindKeepApart) {
  const int32_t ids[] = {1, 2};
  const std::string_view same_bytes(reinterpret_cast<const char*>(ids), sizeof ids);
  EXPECT_EQ(text_key("x", 0), text_key("x", 0));
  EXPECT_NE(text_key("x", 0), text_key("x", 1));
  EXPECT_NE(text_key(same_bytes, 0), ids_key(ids, 0));
}

}  // namespace
}  // namespace sis::cache
