// Tokens that were added beside the model's vocabulary, and finding them in texts.
//
// Some are looked for in the input as it is (normalized: false, the usual for special tokens), the
// others in the normalised text by their normalised form. Const after build(); any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "infer/text/tokenizer/double_array.h"
#include "infer/text/tokenizer/hashing.h"
#include "infer/text/tokenizer/model.h"
#include "infer/text/tokenizer/normalizer.h"

namespace sis::text::tok {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;
  bool lstrip = false, rstrip = false;
  bool normalized = true;
  bool special = false;
  std::string normalized_content;  // what the text holds after normalising
};

class AddedVocabulary {
 public:
  // From the array under "added_tokens"; ids are the model's for tokens it knows, else they follow
  // its last.
  static Result<AddedVocabulary> build(const JsonObject& tokenizer_config, const Model& model,
                                       const Normalizer* normalizer);

  // Finds tokens in the input (raw) or in normalised text. fn(begin, end, id) for every part in
  // order, id -1 between tokens; parts have no holes.
  template <class Fn>
  void for_each_part(std::string_view text, bool raw, Fn&& fn) const;
  // True when nothing can be found, so that the text is one part.
  bool finds_nothing(bool raw) const { return (raw ? raw_ : normalized_).ids == 0; }

  const AddedToken* find(int32_t id) const;
  const AddedToken* find(std::string_view content) const;
  bool is_special(std::string_view content) const { return special_.contains(content); }
  int32_t ids_end() const { return ids_end_; }
  // Tokens whose content the model does not know.
  int32_t count_beside(const Model& model) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return hash_bytes(text); }
  };
  struct Finder {
    DoubleArray trie;
    bool first[256] = {};  // bytes that tokens begin with
    size_t ids = 0;
  };
  struct Found {
    size_t begin, end;
    const AddedToken* token;
  };

  // Next token at or after `from`: the leftmost, of those the longest.
  bool find_next(std::string_view text, size_t from, const Finder& finder, Found& found) const;

  std::unordered_map<int32_t, AddedToken> by_id_;
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> by_content_;
  std::unordered_set<std::string, Hash, std::equal_to<>> special_;
  Finder raw_, normalized_;
  int32_t ids_end_ = 0;
};

// Whether the character before `at` (or at it) is one of a word, \w.
bool ends_with_word(std::string_view text, size_t at);
bool starts_with_word(std::string_view text, size_t at);
// Where the white space that ends at `at` begins, and where that which begins at `at` ends.
size_t space_begin(std::string_view text, size_t at);
size_t space_end(std::string_view text, size_t at);

template <class Fn>
void AddedVocabulary::for_each_part(std::string_view text, bool raw, Fn&& fn) const {
  const Finder& finder = raw ? raw_ : normalized_;
  size_t done = 0;
  Found found;
  for (size_t from = 0; find_next(text, from, finder, found); from = found.end) {
    const AddedToken& token = *found.token;
    size_t begin = found.begin, end = found.end;
    if (token.single_word && (ends_with_word(text, begin) || starts_with_word(text, end))) continue;
    // White space before may belong to the token before already.
    if (token.lstrip) begin = std::max(space_begin(text, begin), done);
    if (token.rstrip) end = space_end(text, end);
    if (done < begin) fn(done, begin, -1);
    fn(begin, end, token.id);
    done = end;
  }
  if (done < text.size()) fn(done, text.size(), -1);
}

}  // namespace sis::text::tok
