// Models: how a piece of text becomes tokens.
//
// One class and one row in model.cc each. Const after making; any thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "infer/text/tokenizer/pre_tokenized_string.h"
#include "infer/text/tokenizer/registry.h"
#include "infer/text/tokenizer/vocabulary.h"

namespace sis::text::tok {

struct Token {
  int32_t id;
  uint32_t begin, end;  // bytes of the pre-tokenised text
};

class Model {
 public:
  virtual ~Model() = default;

  // Tokens of the pieces, in order, appended to `out`; may stop after the piece that makes them
  // `tokens_enough`. A piece that is a token already becomes just that.
  virtual void tokenize(const PreTokenizedString& string, size_t tokens_enough,
                        std::vector<Token>& out) const = 0;

  // What the token reads as for offset trimming; `covered` is the text it stands for.
  virtual std::string_view value_of(int32_t id, std::string_view covered) const {
    return covered.empty() ? covered : id_to_token(id);
  }

  // Asks for pieces of plain bytes instead of byte-level characters; true when the model takes them
  // from now on.
  virtual bool take_raw_bytes() { return false; }

  // Tokens of different text; what added tokens are numbered after.
  virtual int32_t vocab_size() const = 0;
  virtual int32_t ids_end() const = 0;                            // above every id
  virtual int32_t token_to_id(std::string_view token) const = 0;  // -1 when unknown
  virtual bool has_id(int32_t id) const = 0;
  virtual std::string_view id_to_token(int32_t id) const = 0;  // empty when unknown
};

// From the object under "model". Files older than the "type" member are told by what they hold.
Result<std::unique_ptr<Model>> make_model(const JsonObject& config);

Result<std::unique_ptr<Model>> make_word_piece(const JsonObject& config);
Result<std::unique_ptr<Model>> make_unigram(const JsonObject& config);

Result<std::unique_ptr<Model>> make_word_level(const JsonObject& config);
Result<std::unique_ptr<Model>> make_bpe(const JsonObject& config);

// {"token": id, ...} under `key`.
Result<Vocabulary> read_vocabulary(const JsonObject& config, std::string_view key,
                                   Vocabulary::Lookup lookup);

// For models whose tokens live in a Vocabulary.
class VocabularyModel : public Model {
 public:
  explicit VocabularyModel(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  int32_t vocab_size() const override { return vocabulary_.count(); }
  int32_t ids_end() const override { return vocabulary_.ids_end(); }
  int32_t token_to_id(std::string_view token) const override { return vocabulary_.find(token); }
  bool has_id(int32_t id) const override { return vocabulary_.has(id); }
  std::string_view id_to_token(int32_t id) const override { return vocabulary_.text(id); }

 protected:
  const Vocabulary vocabulary_;
};

}  // namespace sis::text::tok
