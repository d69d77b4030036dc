#include "infer/text/tokenizer/double_array.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "infer/text/tokenizer/vocabulary.h"

namespace sis::text::tok {
namespace {

std::string random_key(Rng& rng, uint64_t letters, uint64_t length_max) {
  std::string key;
  for (uint64_t i = 1 + rng.below(length_max); i > 0; --i)
    key.push_back(static_cast<char>(rng.below(letters)));
  return key;
}

// The trie knows exactly its keys, and no others, whatever bytes are looked up; zero bytes
// included.
TEST(DoubleArray, AgreesWithAMap) {
  for (const uint64_t letters : {2u, 16u, 128u, 256u}) {
    Rng rng{letters};
    std::map<std::string, int32_t> want;
    for (int i = 0; i < 5000; ++i) {
      std::string key = random_key(rng, letters, 12);
      std::erase(key, '\xFF');  // never part of UTF-8, and how free slots are marked
      if (!key.empty()) want[key] = i;
    }
    std::vector<DoubleArray::Key> keys;
    for (const auto& [key, value] : want) keys.push_back({key, value});
    const auto trie = DoubleArray::build(keys);
    ASSERT_TRUE(trie.ok());
    for (const auto& [key, value] : want) EXPECT_EQ(trie->find(key), value);
    for (int i = 0; i < 20000; ++i) {
      const std::string key = random_key(rng, 256, 6);
      const auto at = want.find(key);
      EXPECT_EQ(trie->find(key), at == want.end() ? DoubleArray::kNoValue : at->second)
          << testing::PrintToString(key);
    }
  }
}

TEST(DoubleArray, EmptyAndRepeatedKeys) {
  const auto none = DoubleArray::build({{"", 1}});
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->find(""), DoubleArray::kNoValue);
  EXPECT_EQ(none->find("a"), DoubleArray::kNoValue);
  EXPECT_EQ(none->find(std::string_view("\0\0", 2)), DoubleArray::kNoValue);
  const auto twice = DoubleArray::build({{"ab", 1}, {"a", 2}, {"ab", 3}});
  ASSERT_TRUE(twice.ok());
  EXPECT_EQ(twice->find("ab"), 3);
  EXPECT_EQ(twice->find("a"), 2);
}

TEST(Vocabulary, FindsBothWays) {
  const auto vocabulary =
      Vocabulary::build({{"b", 7}, {"a", 0}, {"", 3}}, Vocabulary::Repeats::kRefuse,
                        Vocabulary::Lookup::kTrie, "vocab");
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->find("b"), 7);
  EXPECT_EQ(vocabulary->find(""), 3);
  EXPECT_EQ(vocabulary->text(7), "b");
  EXPECT_TRUE(vocabulary->has(3));
  EXPECT_FALSE(vocabulary->has(1));
  EXPECT_FALSE(vocabulary->has(-1));
  EXPECT_FALSE(vocabulary->has(8));
  EXPECT_EQ(vocabulary->count(), 3);
  EXPECT_EQ(vocabulary->ids_end(), 8);
}

TEST(Vocabulary, RepeatedTexts) {
  const std::vector<VocabularyEntry> entries{{"a", 0}, {"a", 1}};
  EXPECT_FALSE(
      Vocabulary::build(entries, Vocabulary::Repeats::kRefuse, Vocabulary::Lookup::kTrie, "vocab")
          .ok());
  const auto vocabulary = Vocabulary::build(entries, Vocabulary::Repeats::kLastWins,
                                            Vocabulary::Lookup::kTrie, "vocab");
  ASSERT_TRUE(vocabulary.ok());
  EXPECT_EQ(vocabulary->find("a"), 1);
  EXPECT_EQ(vocabulary->text(0), "a");
}

}  // namespace
}  // namespace sis::text::tok
