#include "infer/engine/token_counts.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"

namespace sis::engine {
namespace {

TEST(TokenCounts, CountsLikeAMap) {
  Rng rng(3);
  TokenCounts counts;
  std::map<int32_t, int32_t> want;
  std::vector<int32_t> prompt;
  for (int i = 0; i < 500; ++i) prompt.push_back(static_cast<int32_t>(rng.below(150000)));
  counts.add_prompt(prompt);
  for (const int32_t id : prompt) want[id];
  for (int i = 0; i < 3000; ++i) {
    const int32_t id = i % 3 ? static_cast<int32_t>(rng.below(900)) : prompt[rng.below(500)];
    counts.add_generated(id);
    ++want[id];
  }
  ASSERT_EQ(counts.entries().size(), want.size());
  for (const auto& entry : counts.entries()) EXPECT_EQ(entry.generated, want.at(entry.id));
}

}  // namespace
}  // namespace sis::engine
