// SentencePiece's compiled character map: which short strings a normalizer replaces by which.
//
//   u32 trie_bytes | trie (Darts double array of u32) | replacements, each ended by a zero byte
//
// A trie value is where its replacement begins. The bytes come from outside, so every step is
// checked: whatever points outside the map counts as "no replacement".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis::text::tok {

class CharsMap {
 public:
  static Result<CharsMap> parse(std::string_view bytes);

  // The replacement of the shortest key that `text` begins with; nullopt when none does. The
  // library looks up whole grapheme clusters this way and drops what the key did not cover.
  std::optional<std::string_view> replacement(std::string_view text) const;

 private:
  std::vector<uint32_t> trie_;
  std::string replacements_;
};

// nullopt when `text` is not padded standard base64 (RFC 4648, section 4).
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace sis::text::tok
