#include "infer/text/tokenizer/vocabulary.h"

#include "base/strings.h"

namespace sis::text::tok {

Result<Vocabulary> Vocabulary::build(const std::vector<VocabularyEntry>& entries, Repeats repeats,
                                     Lookup lookup, std::string_view path) {
  const auto refuse = [&](auto&&... what) {
    return Error{Code::kInvalidArgument, concat(path, ": ", what...)};
  };
  if (entries.size() > kTokensMax)
    return refuse(entries.size(), " tokens, want at most ", kTokensMax);

  size_t blob_bytes = 0;
  int64_t id_max = -1;
  for (const VocabularyEntry& entry : entries) {
    if (entry.text.size() > kTokenBytesMax)
      return refuse("token ", entry.id, " has ", entry.text.size(), " bytes, want at most ",
                    kTokenBytesMax);
    if (entry.id < 0)
      return refuse("token ", in_quotes(entry.text), " has the negative id ", entry.id);
    if (!is_utf8(entry.text)) return refuse("token ", entry.id, " is not UTF-8");
    blob_bytes += entry.text.size();
    id_max = std::max<int64_t>(id_max, entry.id);
  }
  if (static_cast<size_t>(id_max + 1) > entries.size() + kGapsMax)
    return refuse("the highest id is ", id_max, ", too high for ", entries.size(), " tokens");
  if (blob_bytes >= kMissing) return refuse(blob_bytes, " bytes of tokens, want less than 4 GiB");

  Vocabulary vocabulary;
  vocabulary.begins_.resize(static_cast<size_t>(id_max + 1));
  vocabulary.blob_.reserve(blob_bytes);
  for (const VocabularyEntry& entry : entries) {
    Slice& slice = vocabulary.begins_[entry.id];
    if (slice.begin != kMissing)
      return refuse("id ", entry.id, " belongs to both ", in_quotes(vocabulary.text(entry.id)),
                    " and ", in_quotes(entry.text));
    slice = {static_cast<uint32_t>(vocabulary.blob_.size()),
             static_cast<uint32_t>(entry.text.size())};
    vocabulary.blob_ += entry.text;
  }

  vocabulary.lookup_ = lookup;
  if (lookup == Lookup::kHash) {
    vocabulary.index_ = StringIndex(entries.size());
    const auto text_of = [&](int32_t id) { return vocabulary.text(id); };
    for (const VocabularyEntry& entry : entries) {
      const int32_t before = vocabulary.index_.put(entry.text, entry.id, text_of);
      if (before >= 0 && repeats == Repeats::kRefuse)
        return refuse(in_quotes(entry.text), " is there twice, as ", before, " and ", entry.id);
      vocabulary.count_ += before < 0 ? 1 : 0;
    }
    return vocabulary;
  }
  std::vector<DoubleArray::Key> keys;
  keys.reserve(entries.size());
  for (const VocabularyEntry& entry : entries) {
    if (entry.text.empty()) vocabulary.empty_id_ = entry.id;
    keys.push_back({vocabulary.text(entry.id), entry.id});
  }
  SIS_ASSIGN(vocabulary.trie_, DoubleArray::build(std::move(keys)));
  for (const VocabularyEntry& entry : entries) {
    const int32_t winner = vocabulary.find(entry.text);
    if (winner == entry.id) {
      ++vocabulary.count_;
    } else if (repeats == Repeats::kRefuse) {
      return refuse(in_quotes(entry.text), " is there twice, as ", entry.id, " and ", winner);
    }
  }
  return vocabulary;
}

}  // namespace sis::text::tok
