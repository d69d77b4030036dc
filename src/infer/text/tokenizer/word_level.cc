// WordLevel: a piece is a token or unknown.
#include "infer/text/tokenizer/model.h"

namespace sis::text::tok {
namespace {

class WordLevel final : public VocabularyModel {
 public:
  WordLevel(Vocabulary vocabulary, int32_t unknown_id)
      : VocabularyModel(std::move(vocabulary)), unknown_id_(unknown_id) {}

  void tokenize(const PreTokenizedString& string, size_t tokens_enough,
                std::vector<Token>& out) const override {
    for (const Piece& piece : string.pieces()) {
      if (out.size() >= tokens_enough) return;
      int32_t id = piece.added_id;
      if (id < 0) id = vocabulary_.find(string.text_of(piece));
      if (id < 0) id = unknown_id_;
      if (id >= 0) out.push_back({id, piece.begin, piece.end});
    }
  }

 private:
  const int32_t unknown_id_;  // -1: such pieces are lost
};

}  // namespace

Result<std::unique_ptr<Model>> make_word_level(const JsonObject& config) {
  SIS_ASSIGN(const std::string_view unknown, config.string("unk_token", "<unk>"));
  SIS_ASSIGN(auto vocabulary, read_vocabulary(config, "vocab", Vocabulary::Lookup::kHash));
  const int32_t unknown_id = vocabulary.find(unknown);
  return std::unique_ptr<Model>(std::make_unique<WordLevel>(std::move(vocabulary), unknown_id));
}

}  // namespace sis::text::tok
