// WordPiece: from the left, always the longest token that fits; after the first, tokens carry a
// prefix
// ("##"). A piece that cannot be covered whole, or is too long, becomes the unknown token.
//
// The trie finds the longest fit in one walk; the walk for later tokens starts where the prefix
// ends.
#include "infer/text/tokenizer/model.h"

namespace sis::text::tok {
namespace {

class WordPiece final : public VocabularyModel {
 public:
  WordPiece(Vocabulary vocabulary, int32_t unknown_id, std::string_view prefix,
            size_t characters_max)
      : VocabularyModel(std::move(vocabulary)),
        unknown_id_(unknown_id),
        characters_max_(characters_max) {
    for (char byte : prefix) continues_ = continues_ && vocabulary_.trie().step(inner_, byte);
  }

  void tokenize(const PreTokenizedString& string, size_t tokens_enough,
                std::vector<Token>& out) const override {
    const std::string_view text = string.text();
    for (const Piece& piece : string.pieces()) {
      if (out.size() >= tokens_enough) return;
      if (piece.added_id >= 0)
        out.push_back({piece.added_id, piece.begin, piece.end});
      else
        add(text, piece, out);
    }
  }

 private:
  void add(std::string_view text, const Piece& piece, std::vector<Token>& out) const {
    const DoubleArray& trie = vocabulary_.trie();
    const size_t first = out.size();
    if (too_long(text.substr(piece.begin, piece.end - piece.begin))) {
      out.push_back({unknown_id_, piece.begin, piece.end});
      return;
    }
    DoubleArray::Cursor cursor;
    for (uint32_t begin = piece.begin; begin < piece.end;) {
      int32_t id = DoubleArray::kNoValue;
      uint32_t end = begin;
      for (uint32_t at = begin; at < piece.end && trie.step(cursor, text[at]); ++at) {
        if (trie.value(cursor) == DoubleArray::kNoValue) continue;
        id = trie.value(cursor);
        end = at + 1;
      }
      if (id == DoubleArray::kNoValue || (end < piece.end && !continues_)) {
        out.resize(first);
        out.push_back({unknown_id_, piece.begin, piece.end});
        return;
      }
      out.push_back({id, begin, end});
      begin = end;
      cursor = inner_;
    }
  }

  bool too_long(std::string_view piece) const {
    if (piece.size() <= characters_max_) return false;
    size_t characters = 0;
    for (char byte : piece) characters += is_continuation(byte) ? 0 : 1;
    return characters > characters_max_;
  }

  const int32_t unknown_id_;
  const size_t characters_max_;
  DoubleArray::Cursor inner_;  // where tokens after the first are looked up
  bool continues_ = true;      // false when no token has the prefix
};

}  // namespace

Result<std::unique_ptr<Model>> make_word_piece(const JsonObject& config) {
  SIS_ASSIGN(const std::string_view unknown, config.string("unk_token", "[UNK]"));
  SIS_ASSIGN(const std::string_view prefix, config.string("continuing_subword_prefix", "##"));
  SIS_ASSIGN(const int64_t characters_max,
             config.integer("max_input_chars_per_word", 0, INT32_MAX, 100));
  SIS_ASSIGN(auto vocabulary, read_vocabulary(config, "vocab", Vocabulary::Lookup::kTrie));
  const int32_t unknown_id = vocabulary.find(unknown);
  if (unknown_id < 0)
    return Error{Code::kInvalidArgument, concat(config.path_of("unk_token"), ": ",
                                                in_quotes(unknown), " is not in the vocabulary")};
  return std::unique_ptr<Model>(std::make_unique<WordPiece>(
      std::move(vocabulary), unknown_id, prefix, static_cast<size_t>(characters_max)));
}

}  // namespace sis::text::tok
