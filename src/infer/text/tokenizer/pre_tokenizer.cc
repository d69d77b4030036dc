#include "infer/text/tokenizer/pre_tokenizer.h"

#include "infer/text/tokenizer/byte_level.h"
#include "infer/text/tokenizer/pattern.h"
#include "infer/text/tokenizer/unicode_tables.h"

namespace sis::text::tok {
namespace {

// White space goes, every punctuation character stands alone.
class BertPreTokenizer final : public PreTokenizer {
 public:
  void pre_tokenize(PreTokenizedString& string) const override {
    const UnicodeTables& tables = UnicodeTables::get();
    const auto byte_flags = tables.byte_flags();
    string.cut([&](const Piece& piece, auto&& out) {
      const std::string_view text = string.text().substr(0, piece.end);
      uint32_t begin = piece.begin;
      for (uint32_t at = piece.begin; at < piece.end;) {
        uint16_t flags = byte_flags[static_cast<unsigned char>(text[at])];
        size_t bytes = 1;
        if (flags == 0xFFFF) flags = tables.flags(decode_utf8(text, at, bytes));
        const auto end = at + static_cast<uint32_t>(bytes);
        if ((flags & (kWhiteSpace | kPunctuation)) != 0) {
          out(begin, at);
          if ((flags & kWhiteSpace) == 0) out(at, end);
          begin = end;
        }
        at = end;
      }
      out(begin, piece.end);
    });
  }
};

// Runs of \w and runs of what is neither \w nor \s.
class Whitespace final : public PreTokenizer {
 public:
  void pre_tokenize(PreTokenizedString& string) const override {
    const UnicodeTables& tables = UnicodeTables::get();
    string.cut([&](const Piece& piece, auto&& out) {
      const std::string_view text = string.text().substr(0, piece.end);
      uint32_t begin = piece.begin;
      int before = 0;  // 0 space, 1 word, 2 other
      for (uint32_t at = piece.begin; at < piece.end;) {
        size_t bytes = 0;
        const uint16_t flags = tables.flags(decode_utf8(text, at, bytes));
        const int now = (flags & kWord) != 0 ? 1 : (flags & kWhiteSpace) != 0 ? 0 : 2;
        if (now != before) {
          if (before != 0) out(begin, at);
          begin = at;
          before = now;
        }
        at += static_cast<uint32_t>(bytes);
      }
      if (before != 0) out(begin, piece.end);
    });
  }
};

// Cuts at characters with a flag.
class SplitAtFlag final : public PreTokenizer {
 public:
  SplitAtFlag(CharFlag flag, SplitBehavior behavior) : flag_(flag), behavior_(behavior) {}
  void pre_tokenize(PreTokenizedString& string) const override {
    const UnicodeTables& tables = UnicodeTables::get();
    string.split_at(behavior_, [&](char32_t c) { return tables.has(c, flag_); });
  }

 private:
  const CharFlag flag_;
  const SplitBehavior behavior_;
};

class CharDelimiterSplit final : public PreTokenizer {
 public:
  explicit CharDelimiterSplit(char32_t delimiter) : delimiter_(delimiter) {}
  void pre_tokenize(PreTokenizedString& string) const override {
    string.split_at(SplitBehavior::kRemoved, [&](char32_t c) { return c == delimiter_; });
  }

 private:
  const char32_t delimiter_;
};

class Split final : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void pre_tokenize(PreTokenizedString& string) const override {
    // The known expressions match everything, so that each match becomes a piece.
    const auto known = pattern_.known();
    if (known &&
        (invert_ ? behavior_ == SplitBehavior::kRemoved : behavior_ == SplitBehavior::kIsolated)) {
      string.scan(*known);
      return;
    }
    string.split(behavior_, [&](std::string_view text, auto&& part) {
      size_t gap = 0;
      pattern_.for_each_match(text, [&](Regex::Match match) {
        if (gap < match.begin) part(gap, match.begin, invert_);
        part(match.begin, match.end, !invert_);
        gap = match.end;
      });
      if (gap < text.size()) part(gap, text.size(), invert_);
    });
  }

 private:
  const Pattern pattern_;
  const SplitBehavior behavior_;
  const bool invert_;
};

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<PreTokenizer>> parts) : parts_(std::move(parts)) {}
  void pre_tokenize(PreTokenizedString& string) const override {
    for (const auto& part : parts_) part->pre_tokenize(string);
  }
  bool needs_spans() const override {
    for (const auto& part : parts_)
      if (part->needs_spans()) return true;
    return false;
  }
  bool ends_byte_level() const override {
    return !parts_.empty() && parts_.back()->ends_byte_level();
  }
  void leave_bytes_raw() override { parts_.back()->leave_bytes_raw(); }

 private:
  const std::vector<std::unique_ptr<PreTokenizer>> parts_;
};

template <class Class>
Result<std::unique_ptr<PreTokenizer>> make_plain(const JsonObject&) {
  return std::unique_ptr<PreTokenizer>(std::make_unique<Class>());
}

Result<std::unique_ptr<PreTokenizer>> make_whitespace_split(const JsonObject&) {
  return std::unique_ptr<PreTokenizer>(
      std::make_unique<SplitAtFlag>(kWhiteSpace, SplitBehavior::kRemoved));
}

Result<std::unique_ptr<PreTokenizer>> make_punctuation(const JsonObject& config) {
  SIS_ASSIGN(const auto behavior, read_split_behavior(config, "behavior", "Isolated"));
  return std::unique_ptr<PreTokenizer>(std::make_unique<SplitAtFlag>(kPunctuation, behavior));
}

Result<std::unique_ptr<PreTokenizer>> make_digits(const JsonObject& config) {
  SIS_ASSIGN(const bool individual, config.boolean("individual_digits", false));
  return std::unique_ptr<PreTokenizer>(std::make_unique<SplitAtFlag>(
      kNumeric, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
}

Result<std::unique_ptr<PreTokenizer>> make_delimiter(const JsonObject& config) {
  SIS_ASSIGN(const char32_t delimiter, config.character("delimiter"));
  return std::unique_ptr<PreTokenizer>(std::make_unique<CharDelimiterSplit>(delimiter));
}

Result<std::unique_ptr<PreTokenizer>> make_split(const JsonObject& config) {
  SIS_ASSIGN(auto pattern, Pattern::from(config, "pattern"));
  SIS_ASSIGN(const auto behavior, read_split_behavior(config, "behavior", "Isolated"));
  SIS_ASSIGN(const bool invert, config.boolean("invert", false));
  return std::unique_ptr<PreTokenizer>(
      std::make_unique<Split>(std::move(pattern), behavior, invert));
}

Result<std::unique_ptr<PreTokenizer>> make_sequence(const JsonObject& config) {
  SIS_ASSIGN(const auto configs, config.array("pretokenizers"));
  std::vector<std::unique_ptr<PreTokenizer>> parts;
  SIS_TRY(configs.for_each_object([&](const JsonObject& part) -> Status {
    SIS_ASSIGN(auto made, make_pre_tokenizer(part));
    parts.push_back(std::move(made));
    return {};
  }));
  return std::unique_ptr<PreTokenizer>(std::make_unique<Sequence>(std::move(parts)));
}

constexpr RegistryRow<PreTokenizer> kPreTokenizers[] = {
    {"BertPreTokenizer", make_plain<BertPreTokenizer>},
    {"ByteLevel", make_byte_level_pre_tokenizer},
    {"CharDelimiterSplit", make_delimiter},
    {"Delimiter", make_delimiter},
    {"Digits", make_digits},
    {"Metaspace", make_metaspace_pre_tokenizer},
    {"Punctuation", make_punctuation},
    {"Sequence", make_sequence},
    {"Split", make_split},
    {"Whitespace", make_plain<Whitespace>},
    {"WhitespaceSplit", make_whitespace_split},
};

}  // namespace

Result<std::unique_ptr<PreTokenizer>> make_pre_tokenizer(const JsonObject& config) {
  return make_by_type<PreTokenizer>(kPreTokenizers, config);
}

Result<SplitBehavior> read_split_behavior(const JsonObject& config, std::string_view key,
                                          std::string_view fallback) {
  SIS_ASSIGN(const std::string_view name, config.string(key, fallback));
  constexpr std::pair<std::string_view, SplitBehavior> kNames[] = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  for (const auto& [known, behavior] : kNames)
    if (name == known) return behavior;
  return Error{Code::kInvalidArgument, concat(config.path_of(key),
                                              ": want Removed, Isolated, MergedWithPrevious, "
                                              "MergedWithNext or Contiguous, found ",
                                              in_quotes(name))};
}

}  // namespace sis::text::tok
