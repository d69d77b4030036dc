// The words a mock knows, and the files a checkpoint would have: tokenizer.json and a chat template
// as texts, made in memory.
//
// The tokenizer is byte-level BPE: one token per byte, then words with the space before them, each
// reached by merging letter after letter, then the markers of turns. So any text can be encoded and
// decoded, and an answer is one token a word.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sis::models {

class MockVocabulary {
 public:
  MockVocabulary();

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  int32_t end() const { return end_; }              // of a turn
  int32_t assistant() const { return assistant_; }  // an answer begins behind it
  int32_t byte(unsigned char value) const { return bytes_[value]; }

  // The token at `place` of the answer that `seed` stands for; end() behind its last sentence.
  int32_t answer_token(uint64_t seed, uint32_t place) const;
  // Tokens of that answer without its end; sentences of kSentenceTokens.
  static uint32_t answer_tokens(uint64_t seed);
  static constexpr uint32_t kSentenceTokens = 9;

  // `marks_answers`: a text that is no conversation is followed by assistant(), so that its
  // answer begins there too.
  std::string tokenizer_json(bool marks_answers) const;
  static std::string_view chat_template();
  static std::string_view end_token();  // "<|end|>"

 private:
  int32_t add(const std::string& token);
  // `text` as one token, by way of its beginnings.
  int32_t add_word(std::string_view text);
  std::vector<int32_t> add_words(std::string_view list, bool with_space = true);

  std::vector<std::string> tokens_;  // by id, in the alphabet of byte-level tokenizers
  std::map<std::string, int32_t, std::less<>> ids_;
  std::vector<std::pair<int32_t, int32_t>> merges_;
  std::vector<int32_t> bytes_;
  std::vector<int32_t> openings_, starters_, adjectives_, nouns_, verbs_, adverbs_;
  int32_t the_ = 0, first_marker_ = 0, end_ = 0, assistant_ = 0;
};

}  // namespace sis::models
