// A tokenizer's tokens as raw bytes, ready for grammars. Made once per model (a second at 150 000
// tokens), then const and shared by its grammars; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "infer/text/grammar/token_slices.h"
#include "infer/text/grammar/token_trie.h"
#include "infer/text/tokenizer/tokenizer.h"

namespace sis::text {

struct GrammarVocabularyOptions {
  // Ids that end a text: allowed exactly where it is complete.
  std::vector<int32_t> eos_tokens;
  // Width of the model's logits where it has more than the tokenizer has ids; those are never
  // allowed. 0: the tokenizer's.
  int32_t vocab_size = 0;
};

class GrammarVocabulary {
 public:
  // kInvalidArgument: an end token or vocab_size out of range.
  static Result<std::shared_ptr<const GrammarVocabulary>> create(
      const Tokenizer& tokenizer, const GrammarVocabularyOptions& options);

  struct Token {
    std::string bytes;
    bool is_control = false;  // never part of a grammar's text
  };
  // The same from the tokens themselves, by id.
  static Result<std::shared_ptr<const GrammarVocabulary>> create(
      const std::vector<Token>& tokens, const GrammarVocabularyOptions& options);

  int32_t vocab_size() const { return vocab_size_; }
  size_t mask_words() const { return (static_cast<size_t>(vocab_size_) + 63) / 64; }

  // What the token adds to a text, be it half a character; the name of a control token. Empty for
  // ids without a token.
  std::string_view token_bytes(int32_t id) const;
  // Control tokens are those the tokenizer calls special and others written <|so|>; grammars have
  // them by name only (GrammarSource::literal).
  bool is_control(int32_t id) const;
  std::optional<int32_t> control_token(std::string_view name) const;
  const std::unordered_map<std::string_view, int32_t>& control_tokens() const { return control_; }
  std::span<const int32_t> eos_tokens() const { return eos_tokens_; }
  bool is_eos(int32_t id) const;
  size_t bytes() const;  // memory held

  // For the machine: all text tokens, and those of a class of characters.
  const grammar::TokenTrie& trie() const { return trie_; }
  const grammar::TokenSlices& slices(grammar::CharClass one) const {
    return slices_[static_cast<size_t>(one)];
  }

 private:
  GrammarVocabulary() = default;

  int32_t vocab_size_ = 0;
  std::vector<int32_t> eos_tokens_;
  std::string text_;               // of all tokens
  std::vector<uint32_t> offsets_;  // in text_, by id; one more than there are tokens
  std::vector<bool> is_control_;
  std::unordered_map<std::string_view, int32_t> control_;
  grammar::TokenTrie trie_;
  std::array<grammar::TokenSlices, grammar::kCharClasses.size()> slices_;
};

}  // namespace sis::text
