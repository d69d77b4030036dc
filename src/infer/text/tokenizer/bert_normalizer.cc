// BERT's clean-up in one pass: control characters go, white space becomes a space, Chinese
// characters get spaces around them, accents go (canonical decomposition, then marks dropped),
// letters become lower case.
//
// The library makes four passes. They act on each character alone, except that decomposing reorders
// marks; since all nonspacing marks are dropped right after, only the few reordering marks of
// another category can show it. Texts with one of those take the passes one by one.
#include <array>

#include "infer/text/tokenizer/normalizer.h"
#include "infer/text/tokenizer/unicode_forms.h"
#include "infer/text/tokenizer/unicode_tables.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

struct BertOptions {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};

class BertNormalizer final : public Normalizer {
 public:
  explicit BertNormalizer(const BertOptions& options)
      : options_(options), tables_(UnicodeTables::get()) {
    for (int c = 0; c < 128; ++c) {
      const uint16_t flags = tables_.flags(static_cast<char32_t>(c));
      char to = static_cast<char>(c);
      if (options.lowercase && (flags & kChangesInLower) != 0) to = static_cast<char>(c | 0x20);
      if (options.clean_text && (c == '\t' || c == '\n' || c == '\r' || (flags & kWhiteSpace) != 0))
        to = ' ';
      ascii_[c] = to;
      ascii_dropped_[c] = options.clean_text && is_dropped(static_cast<char32_t>(c), flags);
    }
    special_ = 0;
    if (options.clean_text) special_ |= kControl | kWhiteSpace;
    if (options.handle_chinese_chars) special_ |= kChinese;
    if (options.strip_accents) special_ |= kDecomposes | kNonspacingMark;
    if (options.lowercase) special_ |= kChangesInLower;
  }

  void normalize(NormalizedString& string) const override {
    if (options_.strip_accents && reorders_visibly(string.text())) {
      pass_by_pass(string);
      return;
    }
    one_pass(string);
  }

 private:
  static bool is_dropped(char32_t c, uint16_t flags) {
    if (c == '\t' || c == '\n' || c == '\r') return false;
    return c == 0 || c == 0xFFFD || (flags & kControl) != 0;
  }

  bool reorders_visibly(std::string_view text) const {
    for (size_t at = 0, bytes = 0; at < text.size(); at += bytes) {
      if (is_ascii(text[at])) {
        bytes = 1;
        continue;
      }
      if (tables_.has(decode_utf8(text, at, bytes), kReordersVisibly)) return true;
    }
    return false;
  }

  void one_pass(NormalizedString& string) const {
    const std::string_view text = string.text();
    NormalizedString::Writer writer(string);
    for (size_t at = 0; at < text.size();) {
      const size_t run = ascii_run(text, at);
      if (run > 0) {
        writer.put_mapped(at, at + run, ascii_.data());
        at += run;
        continue;
      }
      size_t bytes = 0;
      const char32_t c = decode_utf8(text, at, bytes);
      const uint16_t flags = tables_.flags(c);
      if ((flags & special_) == 0 && c != 0xFFFD) {
        writer.keep(at, at + bytes);
      } else {
        put_special(writer, c, flags, at);
      }
      at += bytes;
    }
    writer.commit();
  }

  // ASCII characters from `at` on that the table alone settles.
  size_t ascii_run(std::string_view text, size_t at) const {
    size_t end = at;
    while (end < text.size() && is_ascii(text[end]) &&
           !ascii_dropped_[static_cast<unsigned char>(text[end])])
      ++end;
    return end - at;
  }

  void put_special(NormalizedString::Writer& writer, char32_t c, uint16_t flags, size_t at) const {
    if (options_.clean_text) {
      if (is_dropped(c, flags)) return;
      if ((flags & kWhiteSpace) != 0) {
        writer.put(std::string_view(" "), at);
        return;
      }
    }
    const bool spaced = options_.handle_chinese_chars && (flags & kChinese) != 0;
    if (spaced) writer.put(std::string_view(" "), at);
    char32_t alone[3];
    std::u32string_view parts(alone, 1);
    if (options_.strip_accents)
      parts = tables_.canonical(c, alone);
    else
      alone[0] = c;
    for (char32_t part : parts) {
      if (options_.strip_accents && tables_.has(part, kNonspacingMark)) continue;
      char32_t buffer[2] = {part};
      std::u32string_view lows(buffer, 1);
      if (options_.lowercase) lows = tables_.lower(part, buffer);
      for (char32_t low : lows) writer.put(low, at);
    }
    if (spaced) writer.put(std::string_view(" "), at);
  }

  // The library's own way: each step over the whole text.
  void pass_by_pass(NormalizedString& string) const {
    BertOptions before = options_, after = options_;
    before.strip_accents = before.lowercase = false;
    after.clean_text = after.handle_chinese_chars = after.strip_accents = false;
    BertNormalizer(before).one_pass(string);
    std::vector<Change> changes;
    changes_to_form(string.text(), Form::kNfd, changes);
    string.transform(changes);
    {
      const std::string_view text = string.text();
      NormalizedString::Writer writer(string);
      for (size_t at = 0, bytes = 0; at < text.size(); at += bytes)
        if (!tables_.has(decode_utf8(text, at, bytes), kNonspacingMark))
          writer.keep(at, at + bytes);
      writer.commit();
    }
    BertNormalizer(after).one_pass(string);
  }

  const BertOptions options_;
  const UnicodeTables& tables_;
  std::array<char, 128> ascii_{};
  std::array<bool, 128> ascii_dropped_{};
  uint16_t special_ = 0;
};

}  // namespace

Result<std::unique_ptr<Normalizer>> make_bert_normalizer(const JsonObject& config) {
  BertOptions options;
  SIS_ASSIGN(options.clean_text, config.boolean("clean_text", true));
  SIS_ASSIGN(options.handle_chinese_chars, config.boolean("handle_chinese_chars", true));
  SIS_ASSIGN(options.lowercase, config.boolean("lowercase", true));
  SIS_ASSIGN(options.strip_accents, config.boolean("strip_accents", options.lowercase));
  return std::unique_ptr<Normalizer>(std::make_unique<BertNormalizer>(options));
}

}  // namespace sis::text::tok
