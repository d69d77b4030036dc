#include "infer/ops/weight_arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <utility>

namespace sis::ops {
namespace {

TEST(WeightArena, CutsChunksAndTakesTheLastPartBack) {
  WeightArena arena;
  auto first = arena.take(100), second = arena.take(1);
  EXPECT_EQ(first.chunk, second.chunk);
  EXPECT_EQ(second.data - first.data, 128);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(second.data) % 64, 0u);
  std::memset(first.data, 1, 100);
  uint8_t* const again = second.data;
  *again = 7;
  arena.give_back(std::move(first));  // not the last: stays
  arena.give_back(std::move(second));
  auto third = arena.take(1000);
  EXPECT_EQ(third.data, again);
  EXPECT_EQ(*third.data, 0);
  EXPECT_NE(arena.take(100 << 20).chunk, third.chunk);
  EXPECT_EQ(arena.take(64).chunk, third.chunk);
}

}  // namespace
}  // namespace sis::ops
