#include "infer/tensor/buffer.h"

#include <gtest/gtest.h>

#include <new>

namespace sis {
namespace {

// More memory than there is can be asked for: it is an exception that the caller outlives, and what
// there was stays usable.
TEST(Buffer, NoMemoryIsAnException) {
  constexpr size_t kTooMuch = size_t{1} << 60;
  EXPECT_THROW(Buffer{kTooMuch}, std::bad_alloc);
  Workspace workspace;
  float* kept = workspace.take<float>(100);
  kept[99] = 1;
  EXPECT_THROW(workspace.take<std::byte>(kTooMuch), std::bad_alloc);
  EXPECT_EQ(kept[99], 1);
  workspace.reset();
  workspace.take<float>(100)[99] = 2;
}

TEST(Buffer, IsZeroedAndAligned) {
  for (const size_t bytes : {size_t{1}, size_t{4097}, size_t{5} << 20}) {
    const Buffer buffer(bytes);
    ASSERT_EQ(buffer.size(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    EXPECT_EQ(buffer.data()[0], std::byte{0});
    EXPECT_EQ(buffer.data()[bytes - 1], std::byte{0});
  }
}

}  // namespace
}  // namespace sis
