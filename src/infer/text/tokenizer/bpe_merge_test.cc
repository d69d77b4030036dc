#include "infer/text/tokenizer/bpe_merge.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace sis::text::tok {
namespace {

// The rule itself: as long as a pair merges, the leftmost of the lowest rank does.
std::vector<int32_t> by_rule(const MergeTable& merges, std::vector<Symbol> word) {
  while (true) {
    size_t best = word.size();
    uint32_t rank = MergeTable::kNoRank;
    for (size_t i = 0; i + 1 < word.size(); ++i) {
      const auto merge = merges.find(word[i].id, word[i + 1].id);
      if (merge.rank >= rank) continue;
      rank = merge.rank;
      best = i;
    }
    if (best == word.size()) break;
    word[best].id = merges.find(word[best].id, word[best + 1].id).id;
    word.erase(word.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
  std::vector<int32_t> ids;
  for (const Symbol& symbol : word) ids.push_back(symbol.id);
  return ids;
}

// Short words (an array) and long ones (a heap) follow the rule, also where pairs repeat and where
// one token comes of several pairs; lengths add up.
TEST(WordMerger, FollowsTheRule) {
  Rng rng{7};
  WordMerger merger;
  for (int round = 0; round < 300; ++round) {
    // Tokens 0..3 are letters; each merge makes a new token, or for a repeated text the known one.
    std::vector<std::string> texts{"a", "b", "c", "d"};
    constexpr size_t kMerges = 40;
    MergeTable merges(kMerges);
    for (uint32_t rank = 0; rank < kMerges; ++rank) {
      const auto left = static_cast<int32_t>(rng.below(texts.size()));
      const auto right = static_cast<int32_t>(rng.below(texts.size()));
      const std::string text = texts[left] + texts[right];
      auto id = static_cast<int32_t>(std::find(texts.begin(), texts.end(), text) - texts.begin());
      if (static_cast<size_t>(id) == texts.size()) texts.push_back(text);
      merges.put(left, right, {rank, id});
    }
    for (const size_t length : {0, 1, 2, 3, 9, 30, 47, 48, 49, 50, 200}) {
      std::vector<Symbol> word(length);
      for (Symbol& symbol : word) symbol = {static_cast<int32_t>(rng.below(4)), 1};
      const auto want = by_rule(merges, word);
      for (const bool always_heap : {false, true}) {
        std::vector<Symbol> got = word;
        merger.merge(merges, always_heap, got);
        ASSERT_EQ(got.size(), want.size()) << length;
        size_t bytes = 0;
        for (size_t i = 0; i < got.size(); ++i) {
          EXPECT_EQ(got[i].id, want[i]) << length;
          EXPECT_EQ(got[i].bytes, texts[got[i].id].size());
          bytes += got[i].bytes;
        }
        EXPECT_EQ(bytes, length);
      }
    }
  }
}

// Of a pair that is there twice the later place counts.
TEST(MergeTable, LaterPlaceCounts) {
  MergeTable merges(3);
  merges.put(1, 2, {0, 7});
  merges.put(3, 4, {1, 8});
  merges.put(1, 2, {2, 7});
  EXPECT_EQ(merges.find(1, 2).rank, 2u);
  EXPECT_EQ(merges.find(3, 4).id, 8);
  EXPECT_EQ(merges.find(2, 1).rank, MergeTable::kNoRank);
}

}  // namespace
}  // namespace sis::text::tok
