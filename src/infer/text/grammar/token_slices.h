// The tokens of one CharClass, by how many characters they have. Const after building.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "infer/text/grammar/char_class.h"
#include "infer/text/grammar/token_trie.h"

namespace sis::text::grammar {

class TokenSlices {
 public:
  static constexpr uint32_t kCharactersMax = 32;

  TokenSlices() = default;
  // `tokens` as TokenTrie takes them; masks are of `words` words.
  TokenSlices(CharClass char_class, const std::vector<std::pair<std::string_view, int32_t>>& tokens,
              size_t words);

  // Tokens of up to `characters` characters of the class, in [1, kCharactersMax].
  std::span<const uint64_t> up_to(uint32_t characters) const {
    return {masks_.data() + (characters - 1) * words_, words_};
  }
  // All that are in none of these masks.
  const TokenTrie& others() const { return others_; }
  size_t bytes() const { return masks_.capacity() * sizeof(uint64_t) + others_.bytes(); }

 private:
  size_t words_ = 0;
  std::vector<uint64_t> masks_;
  TokenTrie others_;
};

}  // namespace sis::text::grammar
