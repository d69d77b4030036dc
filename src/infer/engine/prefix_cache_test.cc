#include "infer/engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace sis::engine {
namespace {

constexpr kernels::KvLayout kLayout{
    .layers = 1, .kv_heads = 1, .head_dim = 32, .dtype = DType::kBf16};

std::vector<int32_t> ids_from(int32_t first) {
  std::vector<int32_t> ids(kKvBlockTokens);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

BlockKey first_key(std::string_view salt, const std::vector<int32_t>& ids) {
  return {block_hash(salt_hash(salt), ids), ids, KvPool::kNone, salt};
}

TEST(PrefixCache, FindsWhatWasPublishedUnderTheSameSaltOnly) {
  KvPool pool(kLayout, 4);
  PrefixCache cache(pool, true);
  const auto a = ids_from(0), b = ids_from(100);
  const int32_t block = cache.take();
  EXPECT_EQ(cache.publish(first_key("", a), block), block);
  EXPECT_EQ(cache.find(first_key("", a)), block);
  EXPECT_EQ(cache.find(first_key("x", a)), KvPool::kNone);
  EXPECT_EQ(cache.find(first_key("", b)), KvPool::kNone);
  // The same tokens further back are another block.
  const BlockKey second{block_hash(first_key("", a).hash, a), a, block, ""};
  EXPECT_EQ(cache.find(second), KvPool::kNone);
}

// Equal hashes of different content, salt or predecessor, as an attacker might construct them.
TEST(PrefixCache, CollisionsNeverMatch) {
  KvPool pool(kLayout, 8);
  PrefixCache cache(pool, true);
  const auto a = ids_from(0), b = ids_from(100);
  const BlockHash hash{1, 2};
  const int32_t first = cache.take(), second = cache.take(), third = cache.take();
  EXPECT_EQ(cache.publish({hash, a, KvPool::kNone, "alice"}, first), first);
  EXPECT_EQ(cache.find({hash, b, KvPool::kNone, "alice"}), KvPool::kNone);
  EXPECT_EQ(cache.find({hash, a, KvPool::kNone, "bob"}), KvPool::kNone);
  EXPECT_EQ(cache.find({hash, a, first, ""}), KvPool::kNone);
  // All of them may be known side by side.
  EXPECT_EQ(cache.publish({hash, b, KvPool::kNone, "alice"}, second), second);
  EXPECT_EQ(cache.publish({hash, a, KvPool::kNone, "bob"}, third), third);
  EXPECT_EQ(cache.find({hash, a, KvPool::kNone, "alice"}), first);
  EXPECT_EQ(cache.find({hash, b, KvPool::kNone, "alice"}), second);
  EXPECT_EQ(cache.find({hash, a, KvPool::kNone, "bob"}), third);
}

TEST(PrefixCache, HashesDependOnEverything) {
  const auto a = ids_from(0);
  auto swapped = a;
  std::swap(swapped[3], swapped[4]);
  const BlockHash root = salt_hash("s");
  EXPECT_NE(block_hash(root, a), block_hash(root, swapped));
  EXPECT_NE(block_hash(root, a), block_hash(salt_hash("t"), a));
  EXPECT_NE(block_hash(root, a), block_hash(block_hash(root, a), a));
  EXPECT_NE(salt_hash(""), salt_hash(std::string_view("\0", 1)));
  EXPECT_EQ(block_hash(root, a), block_hash(root, ids_from(0)));
}

// The oldest unreferenced block goes first; what is referred to never goes.
TEST(PrefixCache, EvictsTheLeastRecentlyUsedUnreferenced) {
  KvPool pool(kLayout, 3);
  PrefixCache cache(pool, true);
  std::vector<std::vector<int32_t>> ids;
  std::vector<int32_t> blocks;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(ids_from(1000 * i));
    blocks.push_back(cache.take());
    cache.publish(first_key("", ids.back()), blocks.back());
  }
  EXPECT_EQ(cache.take(), KvPool::kNone);  // all are in use
  cache.release(blocks[1]);
  cache.release(blocks[0]);
  cache.release(blocks[2]);
  EXPECT_EQ(cache.blocks_cached(), 3);
  EXPECT_EQ(cache.blocks_available(), 3);
  cache.add_reference(blocks[1]);  // the oldest is wanted again
  EXPECT_EQ(cache.blocks_available(), 2);
  EXPECT_EQ(cache.take(), blocks[0]);
  EXPECT_EQ(cache.find(first_key("", ids[0])), KvPool::kNone);
  EXPECT_EQ(cache.find(first_key("", ids[2])), blocks[2]);
  EXPECT_EQ(cache.take(), blocks[2]);
  EXPECT_EQ(cache.take(), KvPool::kNone);
  EXPECT_EQ(cache.find(first_key("", ids[1])), blocks[1]);
}

// Two sequences that computed the same block end up with one.
TEST(PrefixCache, PublishingTheSameTwiceGivesOneBlockBack) {
  KvPool pool(kLayout, 2);
  PrefixCache cache(pool, true);
  const auto a = ids_from(0);
  const int32_t first = cache.take(), second = cache.take();
  cache.publish(first_key("", a), first);
  EXPECT_EQ(cache.publish(first_key("", a), second), first);
  EXPECT_EQ(pool.references(first), 2);
  EXPECT_EQ(pool.blocks_free(), 1);
  cache.release(first);
  cache.release(first);
  EXPECT_EQ(cache.blocks_cached(), 1);
  // Also when its first owner is long gone.
  const int32_t third = cache.take();
  EXPECT_EQ(cache.publish(first_key("", a), third), first);
  EXPECT_EQ(cache.blocks_cached(), 0);
  EXPECT_EQ(pool.blocks_free(), 1);
}

TEST(PrefixCache, KeepsNothingWhenOff) {
  KvPool pool(kLayout, 1);
  PrefixCache cache(pool, false);
  const auto a = ids_from(0);
  const int32_t block = cache.take();
  EXPECT_EQ(cache.publish(first_key("", a), block), block);
  EXPECT_EQ(cache.find(first_key("", a)), KvPool::kNone);
  cache.release(block);
  EXPECT_EQ(pool.blocks_free(), 1);
  EXPECT_EQ(cache.blocks_cached(), 0);
}

}  // namespace
}  // namespace sis::engine
