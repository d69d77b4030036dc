#include "infer/engine/kv_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace sis::engine {
namespace {

constexpr kernels::KvLayout kLayout{
    .layers = 2, .kv_heads = 1, .head_dim = 32, .dtype = DType::kF32};

// Every block is handed out once, then none; the memory is zeroed and as large as promised.
TEST(KvPool, HandsOutEveryBlockOnce) {
  KvPool pool(kLayout, 5);
  std::set<int32_t> seen;
  for (int i = 0; i < 5; ++i) {
    const int32_t block = pool.take();
    EXPECT_TRUE(seen.insert(block).second) << block;
    EXPECT_EQ(pool.references(block), 1);
    const std::byte* data = pool.view().data + block * kLayout.block_bytes();
    for (int64_t b = 0; b < kLayout.block_bytes(); ++b) ASSERT_EQ(data[b], std::byte{0});
  }
  EXPECT_EQ(*seen.begin(), 0);
  EXPECT_EQ(*seen.rbegin(), 4);
  EXPECT_EQ(pool.take(), KvPool::kNone);
  EXPECT_EQ(pool.blocks_free(), 0);
}

// A shared block comes back only after its last user.
TEST(KvPool, CountsReferences) {
  KvPool pool(kLayout, 2);
  const int32_t block = pool.take();
  pool.add_reference(block);
  EXPECT_FALSE(pool.drop_reference(block));
  EXPECT_TRUE(pool.drop_reference(block));
  EXPECT_EQ(pool.blocks_free(), 1);
  pool.free(block);
  EXPECT_EQ(pool.blocks_free(), 2);
  EXPECT_DEATH(pool.drop_reference(block), "count > 0");
}

TEST(KvPool, CopiesWholeBlocks) {
  KvPool pool(kLayout, 3);
  const int32_t from = pool.take(), to = pool.take(), other = pool.take();
  const auto bytes = static_cast<size_t>(kLayout.block_bytes());
  std::byte* data = pool.view().data;
  std::memset(data + static_cast<size_t>(from) * bytes, 0x5A, bytes);
  pool.copy(from, to);
  EXPECT_EQ(std::memcmp(data + static_cast<size_t>(from) * bytes,
                        data + static_cast<size_t>(to) * bytes, bytes),
            0);
  EXPECT_EQ(data[static_cast<size_t>(other) * bytes], std::byte{0});
}

TEST(KvPool, RoundsUpToBlocks) {
  EXPECT_EQ(blocks_for(0), 0);
  EXPECT_EQ(blocks_for(1), 1);
  EXPECT_EQ(blocks_for(32), 1);
  EXPECT_EQ(blocks_for(33), 2);
}

}  // namespace
}  // namespace sis::engine
