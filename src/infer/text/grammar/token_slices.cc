#include "infer/text/grammar/token_slices.h"

#include "base/strings.h"

namespace sis::text::grammar {
namespace {

// Characters of a token that has only such; 0 for others.
uint32_t characters_of(CharClass char_class, std::string_view bytes) {
  for (const char byte : bytes)
    if (!is_byte_of(char_class, static_cast<uint8_t>(byte))) return 0;
  return is_utf8(bytes) ? static_cast<uint32_t>(count_code_points(bytes)) : 0;
}

}  // namespace

TokenSlices::TokenSlices(CharClass char_class,
                         const std::vector<std::pair<std::string_view, int32_t>>& tokens,
                         size_t words)
    : words_(words), masks_(words * kCharactersMax) {
  std::vector<std::pair<std::string_view, int32_t>> others;
  for (const auto& [bytes, id] : tokens) {
    const uint32_t characters = characters_of(char_class, bytes);
    if (characters == 0 || characters > kCharactersMax) {
      others.emplace_back(bytes, id);
      continue;
    }
    const auto at = static_cast<size_t>(id);
    masks_[(characters - 1) * words + at / 64] |= uint64_t{1} << (at % 64);
  }
  for (size_t i = words; i < masks_.size(); ++i) masks_[i] |= masks_[i - words];
  others_ = TokenTrie(std::move(others));
}

}  // namespace sis::text::grammar
