// The tokens of a model: id to text in two flat arrays, text to id in a trie (for models that look
// for tokens at the places of a text) or in a hash table (for those that look up whole words).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/text/tokenizer/double_array.h"
#include "infer/text/tokenizer/string_index.h"

namespace sis::text::tok {

struct VocabularyEntry {
  std::string_view text;
  int32_t id;
};

class Vocabulary {
 public:
  // What a vocabulary may hold; beyond it loading is refused.
  static constexpr size_t kTokensMax = 4'000'000;
  static constexpr size_t kTokenBytesMax = 4096;
  // Ids may leave gaps (removed tokens), but not so many that a small file costs much memory.
  static constexpr size_t kGapsMax = 1'000'000;

  enum class Repeats : uint8_t {
    kRefuse,    // two entries with one text or one id are an error
    kLastWins,  // by text; ids must still differ
  };

  enum class Lookup : uint8_t { kTrie, kHash };

  // The texts are copied. `path` names the vocabulary in messages.
  static Result<Vocabulary> build(const std::vector<VocabularyEntry>& entries, Repeats repeats,
                                  Lookup lookup, std::string_view path);

  int32_t find(std::string_view text) const {
    if (lookup_ == Lookup::kHash)
      return index_.find(text, [this](int32_t id) { return this->text(id); });
    return text.empty() ? empty_id_ : trie_.find(text);
  }
  bool has(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < begins_.size() && begins_[id].begin != kMissing;
  }
  // Empty when there is no such id.
  std::string_view text(int32_t id) const {
    return has(id) ? std::string_view(blob_).substr(begins_[id].begin, begins_[id].length)
                   : std::string_view();
  }
  const DoubleArray& trie() const { return trie_; }  // with Lookup::kTrie
  // Different texts, and one more than the highest id.
  int32_t count() const { return count_; }
  int32_t ids_end() const { return static_cast<int32_t>(begins_.size()); }

 private:
  static constexpr uint32_t kMissing = UINT32_MAX;
  struct Slice {
    uint32_t begin = kMissing, length = 0;
  };

  std::string blob_;
  std::vector<Slice> begins_;  // by id
  Lookup lookup_ = Lookup::kTrie;
  DoubleArray trie_;
  StringIndex index_;
  int32_t count_ = 0;
  int32_t empty_id_ = DoubleArray::kNoValue;
};

}  // namespace sis::text::tok
