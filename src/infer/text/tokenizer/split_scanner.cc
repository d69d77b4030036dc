#include "infer/text/tokenizer/split_scanner.h"

#include "infer/text/tokenizer/char_classes.h"

namespace sis::text::tok {
namespace {

constexpr size_t kNone = static_cast<size_t>(-1);

struct Known {
  KnownSplit kind;
  std::string_view expression;
};
constexpr Known kKnown[] = {
    {KnownSplit::kGpt2,
     R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {KnownSplit::kCl100k,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {KnownSplit::kQwen2,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {KnownSplit::kQwenMarks,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {KnownSplit::kO200k,
     R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
};

// What tells one expression from another.
struct Rules {
  bool gpt2 = false;  // spaces before numbers too, contractions in lower case only
  uint8_t word = kClassLetter;
  int digits = 1;
  bool by_case = false;      // o200k's two kinds of words
  bool slash_after = false;  // [\r\n/]* instead of [\r\n]* after other characters
};

constexpr uint8_t kLeading = kClassUpper | kClassOther | kClassMark;
constexpr uint8_t kFollowing = kClassLower | kClassOther | kClassMark;

template <Rules kRules>
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text), classes_(CharClasses::get()) {}

  void scan(std::vector<uint32_t>& ends) const {
    for (size_t at = 0; at < text_.size();) {
      at = match_end(at);
      ends.push_back(static_cast<uint32_t>(at));
    }
  }

 private:
  static constexpr uint8_t kWordOrNumber = kRules.word | kClassNumber;

  size_t match_end(size_t at) const {
    if (!kRules.by_case && text_[at] == '\'') {
      if (const size_t end = contraction(at); end != kNone) return end;
    }
    size_t bytes = 0;
    const uint8_t first = class_at(at, bytes);
    const size_t next = at + bytes;
    if constexpr (kRules.gpt2) {
      // An optional space, then a run of one kind.
      size_t run = at;
      uint8_t kind = first;
      if (text_[at] == ' ' && next < text_.size()) {
        kind = class_at(next, bytes);
        if ((kind & kClassSpace) != 0) return space_end(at);
        run = next;
      }
      if ((kind & kClassLetter) != 0) return run_end(run, kClassLetter);
      if ((kind & kClassNumber) != 0) return run_end(run, kClassNumber);
      if ((kind & kClassSpace) == 0) return other_end(run);
      return space_end(at);
    }
    if constexpr (kRules.by_case) {
      if (const size_t end = cased_word(at, next, first); end != kNone) {
        const size_t suffix = end < text_.size() && text_[end] == '\'' ? contraction(end) : kNone;
        return suffix != kNone ? suffix : end;
      }
    } else {
      if ((first & kRules.word) != 0) return run_end(next, kRules.word);
      if ((first & (kClassNumber | kClassNewline)) == 0 && next < text_.size() &&
          (class_at(next, bytes) & kRules.word) != 0)
        return run_end(next + bytes, kRules.word);
    }
    if ((first & kClassNumber) != 0) return digits_end(next);
    if ((first & kClassSpace) == 0) return newlines_end(other_end(next));
    if (text_[at] == ' ' && next < text_.size() &&
        (class_at(next, bytes) & (kWordOrNumber | kClassSpace)) == 0)
      return newlines_end(other_end(next));
    return space_end(at);
  }

  uint8_t class_at(size_t at, size_t& bytes) const { return classes_.at(text_, at, bytes); }

  size_t run_end(size_t at, uint8_t classes) const {
    for (size_t bytes = 0; at < text_.size() && (class_at(at, bytes) & classes) != 0;) at += bytes;
    return at;
  }
  size_t other_end(size_t at) const {
    for (size_t bytes = 0;
         at < text_.size() && (class_at(at, bytes) & (kWordOrNumber | kClassSpace)) == 0;)
      at += bytes;
    return at;
  }
  size_t digits_end(size_t at) const {
    size_t bytes = 0;
    for (int digits = 1;
         digits < kRules.digits && at < text_.size() && (class_at(at, bytes) & kClassNumber) != 0;
         ++digits)
      at += bytes;
    return at;
  }
  size_t newlines_end(size_t at) const {
    while (at < text_.size() &&
           (text_[at] == '\r' || text_[at] == '\n' || (kRules.slash_after && text_[at] == '/')))
      ++at;
    return at;
  }

  // White space up to its last line break, or up to the last character before a word.
  size_t space_end(size_t at) const {
    size_t end = at, last = at, after_newline = kNone;
    for (size_t bytes = 0; end < text_.size(); end += bytes) {
      const uint8_t kind = class_at(end, bytes);
      if ((kind & kClassSpace) == 0) break;
      last = end;
      if ((kind & kClassNewline) != 0) after_newline = end + 1;
    }
    if (!kRules.gpt2 && after_newline != kNone) return after_newline;
    return end == text_.size() || last == at ? end : last;
  }

  // 's, 't, 're, 've, 'm, 'll, 'd at `at`, or kNone.
  size_t contraction(size_t at) const {
    const auto letter = [&](size_t i) -> char {
      if (i >= text_.size()) return 0;
      const char c = text_[i];
      return !kRules.gpt2 && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    };
    switch (letter(at + 1)) {
      case 's':
      case 't':
      case 'm':
      case 'd':
        return at + 2;
      case 'r':
      case 'v':
        return letter(at + 2) == 'e' ? at + 3 : kNone;
      case 'l':
        return letter(at + 2) == 'l' ? at + 3 : kNone;
      case '\xC5':  // U+017F is an s regardless of case
        return !kRules.gpt2 && letter(at + 2) == '\xBF' ? at + 3 : kNone;
      default:
        return kNone;
    }
  }

  // o200k's first two alternatives without the contraction.
  size_t cased_word(size_t at, size_t next, uint8_t first) const {
    const bool prefix =
        (first & (kClassLetter | kClassNumber | kClassNewline)) == 0 && next < text_.size();
    if (prefix)
      if (const size_t end = capitals_then_small(next); end != kNone) return end;
    if ((first & (kLeading | kFollowing)) != 0)
      if (const size_t end = capitals_then_small(at); end != kNone) return end;
    size_t bytes = 0;
    if (prefix && (class_at(next, bytes) & kLeading) != 0)
      return run_end(run_end(next, kLeading), kFollowing);
    if ((first & kLeading) != 0) return run_end(run_end(at, kLeading), kFollowing);
    return kNone;
  }

  // Leading* Following+. A character of both kinds goes to the second when nothing else is left for
  // it, and then it is the last.
  size_t capitals_then_small(size_t at) const {
    size_t after_both = kNone, bytes = 0;
    uint8_t kind = 0;
    for (; at < text_.size(); at += bytes) {
      kind = class_at(at, bytes);
      if ((kind & kLeading) == 0) break;
      if ((kind & kFollowing) != 0) after_both = at + bytes;
    }
    if (at < text_.size() && (kind & kFollowing) != 0) return run_end(at, kFollowing);
    return after_both;
  }

  const std::string_view text_;
  const CharClasses& classes_;
};

}  // namespace

std::string_view split_expression(KnownSplit kind) {
  for (const Known& known : kKnown)
    if (known.kind == kind) return known.expression;
  return {};
}

std::optional<KnownSplit> known_split(std::string_view expression) {
  for (const Known& known : kKnown)
    if (known.expression == expression) return known.kind;
  return std::nullopt;
}

void scan_splits(KnownSplit kind, std::string_view text, std::vector<uint32_t>& ends) {
  switch (kind) {
    case KnownSplit::kGpt2:
      return Scanner<Rules{.gpt2 = true}>(text).scan(ends);
    case KnownSplit::kCl100k:
      return Scanner<Rules{.digits = 3}>(text).scan(ends);
    case KnownSplit::kQwen2:
      return Scanner<Rules{}>(text).scan(ends);
    case KnownSplit::kQwenMarks:
      return Scanner<Rules{.word = kClassLetter | kClassMark}>(text).scan(ends);
    case KnownSplit::kO200k:
      return Scanner<Rules{.digits = 3, .by_case = true, .slash_after = true}>(text).scan(ends);
  }
}

}  // namespace sis::text::tok
