#include "infer/text/tokenizer/model.h"

namespace sis::text::tok {
namespace {

constexpr RegistryRow<Model> kModels[] = {
    {"BPE", make_bpe},
    {"Unigram", make_unigram},
    {"WordLevel", make_word_level},
    {"WordPiece", make_word_piece},
};

}  // namespace

Result<std::unique_ptr<Model>> make_model(const JsonObject& config) {
  if (config.find("type")) return make_by_type<Model>(kModels, config);
  if (config.find("merges")) return make_bpe(config);
  if (config.find("continuing_subword_prefix")) return make_word_piece(config);
  simdjson::dom::object words;
  if (const auto vocab = config.find("vocab"); vocab && vocab->get(words) == simdjson::SUCCESS)
    return make_word_level(config);
  return make_unigram(config);
}

Result<Vocabulary> read_vocabulary(const JsonObject& config, std::string_view key,
                                   Vocabulary::Lookup lookup) {
  SIS_ASSIGN(const JsonObject object, config.object(key));
  std::vector<VocabularyEntry> entries;
  entries.reserve(object.raw().size());
  for (const auto& [token, element] : object.raw()) {
    int64_t id = 0;
    if (element.get(id) != simdjson::SUCCESS || id < 0 || id > INT32_MAX)
      return Error{
          Code::kInvalidArgument,
          concat(object.path(), "[", in_quotes(token), "]: want an id from 0 to ", INT32_MAX,
                 ", found ", id != 0 ? concat(id) : std::string(json_kind(element)))};
    entries.push_back({token, static_cast<int32_t>(id)});
  }
  return Vocabulary::build(entries, Vocabulary::Repeats::kRefuse, lookup, object.path());
}

}  // namespace sis::text::tok
