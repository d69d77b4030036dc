#include "infer/text/tokenizer/normalizer.h"

#include "infer/text/tokenizer/byte_level.h"
#include "infer/text/tokenizer/pattern.h"
#include "infer/text/tokenizer/unicode_forms.h"
#include "infer/text/tokenizer/unicode_tables.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

class FormNormalizer final : public Normalizer {
 public:
  explicit FormNormalizer(Form form) : form_(form) {}
  void normalize(NormalizedString& string) const override {
    if (surely_in_form(string.text(), form_)) return;
    static thread_local std::vector<Change> changes;
    changes_to_form(string.text(), form_, changes);
    string.transform(changes);
    if (changes.capacity() > kChangesKept) changes = {};
  }

 private:
  const Form form_;
};

template <Form kForm>
Result<std::unique_ptr<Normalizer>> make_form(const JsonObject&) {
  return std::unique_ptr<Normalizer>(std::make_unique<FormNormalizer>(kForm));
}

class Lowercase final : public Normalizer {
 public:
  void normalize(NormalizedString& string) const override {
    const UnicodeTables& tables = UnicodeTables::get();
    const std::string_view text = string.text();
    NormalizedString::Writer writer(string);
    size_t kept = 0;
    for (size_t at = 0, bytes = 0; at < text.size(); at += bytes) {
      const char32_t c = decode_utf8(text, at, bytes);
      if (!tables.has(c, kChangesInLower)) continue;
      writer.keep(kept, at);
      char32_t buffer[2];
      for (char32_t low : tables.lower(c, buffer)) writer.put(low, at);
      kept = at + bytes;
    }
    if (kept == 0) return;
    writer.keep(kept, text.size());
    writer.commit();
  }
};

// Drops or replaces single characters: map(c) is the character to put, kDrop for none.
constexpr char32_t kDrop = 0xFFFFFFFF;
template <class Map>
void map_characters(NormalizedString& string, Map&& map) {
  const std::string_view text = string.text();
  NormalizedString::Writer writer(string);
  size_t kept = 0;
  for (size_t at = 0, bytes = 0; at < text.size(); at += bytes) {
    const char32_t c = decode_utf8(text, at, bytes), to = map(c);
    if (to == c) continue;
    writer.keep(kept, at);
    if (to != kDrop) writer.put(to, at);
    kept = at + bytes;
  }
  if (kept == 0) return;
  writer.keep(kept, text.size());
  writer.commit();
}

class StripAccents final : public Normalizer {
 public:
  void normalize(NormalizedString& string) const override {
    const UnicodeTables& tables = UnicodeTables::get();
    map_characters(string, [&](char32_t c) { return tables.has(c, kCombiningMark) ? kDrop : c; });
  }
};

// SentencePiece's own clean-up, where it is not compiled into a map.
class Nmt final : public Normalizer {
 public:
  void normalize(NormalizedString& string) const override {
    map_characters(string, [](char32_t c) -> char32_t {
      if ((c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
          c == 0x9F)
        return kDrop;
      if (c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
          (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
          c == 0xFEFF || c == 0xFFFD)
        return ' ';
      return c;
    });
  }
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void normalize(NormalizedString& string) const override {
    const UnicodeTables& tables = UnicodeTables::get();
    const std::string_view text = string.text();
    size_t begin = 0, end = text.size(), bytes = 0;
    while (left_ && begin < end && tables.has(decode_utf8(text, begin, bytes), kWhiteSpace))
      begin += bytes;
    while (right_ && begin < end) {
      size_t last = end - 1;
      while (last > begin && is_continuation(text[last])) --last;
      if (!tables.has(decode_utf8(text, last, bytes), kWhiteSpace)) break;
      end = last;
    }
    if (begin > 0 || end < text.size()) string.keep_only(begin, end);
  }

 private:
  const bool left_, right_;
};

class Replace final : public Normalizer {
 public:
  Replace(Pattern pattern, std::string_view content)
      : pattern_(std::move(pattern)), content_(content) {}
  void normalize(NormalizedString& string) const override {
    const std::string_view text = string.text();
    NormalizedString::Writer writer(string);
    size_t kept = 0;
    bool changed = false;
    pattern_.for_each_match(text, [&](Regex::Match match) {
      if (writer.full()) return;
      writer.keep(kept, match.begin);
      writer.insert(content_, match.end);
      kept = match.end;
      changed = true;
    });
    if (!changed || writer.full()) return;
    writer.keep(kept, text.size());
    writer.commit();
  }

 private:
  const Pattern pattern_;
  const std::string content_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string_view prefix) : prefix_(prefix) {}
  void normalize(NormalizedString& string) const override { string.prepend(prefix_); }

 private:
  const std::string prefix_;
};

class Sequence final : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Normalizer>> parts) : parts_(std::move(parts)) {}
  void normalize(NormalizedString& string) const override {
    for (const auto& part : parts_) part->normalize(string);
  }

 private:
  const std::vector<std::unique_ptr<Normalizer>> parts_;
};

template <class Class>
Result<std::unique_ptr<Normalizer>> make_plain(const JsonObject&) {
  return std::unique_ptr<Normalizer>(std::make_unique<Class>());
}

Result<std::unique_ptr<Normalizer>> make_strip(const JsonObject& config) {
  SIS_ASSIGN(const bool left, config.boolean("strip_left"));
  SIS_ASSIGN(const bool right, config.boolean("strip_right"));
  return std::unique_ptr<Normalizer>(std::make_unique<Strip>(left, right));
}

Result<std::unique_ptr<Normalizer>> make_replace(const JsonObject& config) {
  SIS_ASSIGN(auto pattern, Pattern::from(config, "pattern"));
  SIS_ASSIGN(const std::string_view content, config.insertion("content"));
  return std::unique_ptr<Normalizer>(std::make_unique<Replace>(std::move(pattern), content));
}

Result<std::unique_ptr<Normalizer>> make_prepend(const JsonObject& config) {
  SIS_ASSIGN(const std::string_view prefix, config.insertion("prepend"));
  return std::unique_ptr<Normalizer>(std::make_unique<Prepend>(prefix));
}

Result<std::unique_ptr<Normalizer>> make_sequence(const JsonObject& config) {
  SIS_ASSIGN(const auto configs, config.array("normalizers"));
  std::vector<std::unique_ptr<Normalizer>> parts;
  SIS_TRY(configs.for_each_object([&](const JsonObject& part) -> Status {
    SIS_ASSIGN(auto made, make_normalizer(part));
    parts.push_back(std::move(made));
    return {};
  }));
  return std::unique_ptr<Normalizer>(std::make_unique<Sequence>(std::move(parts)));
}

constexpr RegistryRow<Normalizer> kNormalizers[] = {
    {"BertNormalizer", make_bert_normalizer},
    {"ByteLevel", make_byte_level_normalizer},
    {"Precompiled", make_precompiled_normalizer},
    {"Sequence", make_sequence},
    {"Lowercase", make_plain<Lowercase>},
    {"NFC", make_form<Form::kNfc>},
    {"NFD", make_form<Form::kNfd>},
    {"NFKC", make_form<Form::kNfkc>},
    {"NFKD", make_form<Form::kNfkd>},
    {"Nmt", make_plain<Nmt>},
    {"Prepend", make_prepend},
    {"Replace", make_replace},
    {"Strip", make_strip},
    {"StripAccents", make_plain<StripAccents>},
};

}  // namespace

Result<std::unique_ptr<Normalizer>> make_normalizer(const JsonObject& config) {
  return make_by_type<Normalizer>(kNormalizers, config);
}

}  // namespace sis::text::tok
