#include "infer/text/tokenizer/added_vocabulary.h"

#include <algorithm>

#include "infer/text/tokenizer/unicode_tables.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

constexpr size_t kTokensMax = 1'000'000, kContentBytesMax = 4096;

Result<AddedToken> read_token(const JsonObject& config) {
  AddedToken token;
  SIS_ASSIGN(token.content, config.string("content"));
  if (token.content.size() > kContentBytesMax)
    return Error{Code::kInvalidArgument,
                 concat(config.path_of("content"), ": ", token.content.size(),
                        " bytes, want at most ", kContentBytesMax)};
  if (!is_utf8(token.content))
    return Error{Code::kInvalidArgument, concat(config.path_of("content"), ": not UTF-8")};
  SIS_ASSIGN(token.single_word, config.boolean("single_word", false));
  SIS_ASSIGN(token.lstrip, config.boolean("lstrip", false));
  SIS_ASSIGN(token.rstrip, config.boolean("rstrip", false));
  SIS_ASSIGN(token.special, config.boolean("special", false));
  SIS_ASSIGN(token.normalized, config.boolean("normalized", !token.special));
  return token;
}

bool same_flags(const AddedToken& a, const AddedToken& b) {
  return a.single_word == b.single_word && a.lstrip == b.lstrip && a.rstrip == b.rstrip &&
         a.normalized == b.normalized && a.special == b.special;
}

}  // namespace

Result<AddedVocabulary> AddedVocabulary::build(const JsonObject& tokenizer_config,
                                               const Model& model, const Normalizer* normalizer) {
  AddedVocabulary added;
  added.ids_end_ = model.ids_end();
  if (!tokenizer_config.find("added_tokens")) return added;
  SIS_ASSIGN(const JsonArray list, tokenizer_config.array("added_tokens"));
  int32_t next_id = model.vocab_size();
  NormalizedString scratch;
  size_t seen = 0;
  SIS_TRY(list.for_each_object([&](const JsonObject& config) -> Status {
    if (++seen > kTokensMax)
      return Error{Code::kInvalidArgument,
                   concat(list.path(), ": more than ", kTokensMax, " tokens")};
    SIS_ASSIGN(AddedToken token, read_token(config));
    if (token.content.empty()) return {};
    if (const AddedToken* known = added.find(token.content); known && same_flags(*known, token))
      return {};
    const auto at = added.by_content_.find(token.content);
    token.id = at != added.by_content_.end() ? at->second : model.token_to_id(token.content);
    if (token.id < 0) token.id = next_id++;
    token.normalized_content = token.content;
    if (token.normalized && normalizer != nullptr) {
      scratch.reset(token.content, 0, false);
      normalizer->normalize(scratch);
      token.normalized_content = scratch.text();
    }
    added.by_content_[token.content] = token.id;
    if (token.special) added.special_.insert(token.content);
    added.ids_end_ = std::max(added.ids_end_, token.id + 1);
    added.by_id_[token.id] = std::move(token);
    return {};
  }));

  std::vector<DoubleArray::Key> raw, normalized;
  for (const auto& [id, token] : added.by_id_) {
    auto& keys = token.normalized ? normalized : raw;
    if (!token.normalized_content.empty()) keys.push_back({token.normalized_content, id});
  }
  for (auto [keys, finder] :
       {std::pair{&raw, &added.raw_}, std::pair{&normalized, &added.normalized_}}) {
    // By id, so that of tokens with one normalised form always the same is found.
    std::sort(keys->begin(), keys->end(),
              [](const auto& a, const auto& b) { return a.value > b.value; });
    for (const DoubleArray::Key& key : *keys)
      finder->first[static_cast<unsigned char>(key.bytes[0])] = true;
    finder->ids = keys->size();
    SIS_ASSIGN(finder->trie, DoubleArray::build(std::move(*keys)));
  }
  return added;
}

bool AddedVocabulary::find_next(std::string_view text, size_t from, const Finder& finder,
                                Found& found) const {
  if (finder.ids == 0) return false;
  for (size_t at = from; at < text.size(); ++at) {
    if (!finder.first[static_cast<unsigned char>(text[at])]) continue;
    DoubleArray::Cursor cursor;
    int32_t id = DoubleArray::kNoValue;
    size_t end = at;
    for (size_t i = at; i < text.size() && finder.trie.step(cursor, text[i]); ++i) {
      if (finder.trie.value(cursor) == DoubleArray::kNoValue) continue;
      id = finder.trie.value(cursor);
      end = i + 1;
    }
    if (id == DoubleArray::kNoValue) continue;
    found = {at, end, &by_id_.find(id)->second};
    return true;
  }
  return false;
}

const AddedToken* AddedVocabulary::find(int32_t id) const {
  const auto at = by_id_.find(id);
  return at == by_id_.end() ? nullptr : &at->second;
}

const AddedToken* AddedVocabulary::find(std::string_view content) const {
  const auto at = by_content_.find(content);
  return at == by_content_.end() ? nullptr : find(at->second);
}

int32_t AddedVocabulary::count_beside(const Model& model) const {
  int32_t count = 0;
  for (const auto& [content, id] : by_content_) count += model.token_to_id(content) < 0 ? 1 : 0;
  return count;
}

bool ends_with_word(std::string_view text, size_t at) {
  if (at == 0) return false;
  size_t last = at - 1, bytes = 0;
  while (last > 0 && is_continuation(text[last])) --last;
  return UnicodeTables::get().has(decode_utf8(text, last, bytes), kWord);
}

bool starts_with_word(std::string_view text, size_t at) {
  size_t bytes = 0;
  return at < text.size() && UnicodeTables::get().has(decode_utf8(text, at, bytes), kWord);
}

size_t space_begin(std::string_view text, size_t at) {
  while (at > 0) {
    size_t last = at - 1, bytes = 0;
    while (last > 0 && is_continuation(text[last])) --last;
    if (!UnicodeTables::get().has(decode_utf8(text, last, bytes), kWhiteSpace)) break;
    at = last;
  }
  return at;
}

size_t space_end(std::string_view text, size_t at) {
  size_t bytes = 0;
  while (at < text.size() && UnicodeTables::get().has(decode_utf8(text, at, bytes), kWhiteSpace))
    at += bytes;
  return at;
}

}  // namespace sis::text::tok
