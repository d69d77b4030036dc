#include "infer/text/tokenizer/split_scanner.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/strings.h"
#include "infer/text/tokenizer/regex.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

constexpr KnownSplit kAll[] = {KnownSplit::kGpt2, KnownSplit::kCl100k, KnownSplit::kQwen2,
                               KnownSplit::kQwenMarks, KnownSplit::kO200k};

// Pieces that reach every branch: contractions in both cases, the long s, all classes of letters,
// marks, numbers, breaks and rare spaces.
constexpr std::string_view kBits[] = {
    "'",          "s",          "S",          "t",          "re",         "RE",         "rE",
    "ve",         "m",          "ll",         "lL",         "d",          "\u017F",     "\u212A",
    "a",          "bc",         "A",          "BC",         "\u01C5",     "\u02B0",     "\u05D0",
    "\u4E2D",     "\u0301",     "\u20DD",     "\u0903",     "1",          "23",         "4567",
    "\u0663",     "\u00BD",     "\u2167",     " ",          "  ",         "\n",         "\r",
    "\r\n",       "\t",         "\u00A0",     "\u3000",     "\u2028",     "\xC2\x85",   "\v",
    ".",          "!?",         "/",          "//",         "-",          "\u20AC",     "\u200D",
    "\U0001F600", "\U00010400", "\U00010428", "\U000E0001", "\U00011F50", "\U00031350", "\u1C89",
    "\uA7CB"};

std::vector<uint32_t> by_regex(const Regex& regex, std::string_view text) {
  std::vector<uint32_t> ends;
  size_t done = 0;
  regex.for_each_match(text, [&](Regex::Match match) {
    EXPECT_EQ(match.begin, done) << in_quotes(text);  // no gaps
    done = match.end;
    ends.push_back(static_cast<uint32_t>(match.end));
  });
  EXPECT_EQ(done, text.size()) << in_quotes(text);
  return ends;
}

// Every scanner cuts random texts where PCRE2 cuts them with its expression.
TEST(SplitScanner, AgreesWithTheExpression) {
  for (const KnownSplit kind : kAll) {
    const auto regex = Regex::compile(split_expression(kind));
    ASSERT_TRUE(regex.ok()) << regex.error().message;
    ASSERT_EQ(known_split(split_expression(kind)), kind);
    Rng rng{2024};
    std::string text;
    std::vector<uint32_t> ends;
    for (int round = 0; round < 60'000; ++round) {
      text.clear();
      for (uint64_t bits = rng.below(14); bits > 0; --bits) {
        if (rng.below(40) == 0) {
          const auto c = static_cast<char32_t>(rng.below(0x110000));
          if (c < 0xD800 || c > 0xDFFF) append_utf8(text, c);
        } else {
          text += kBits[rng.below(std::size(kBits))];
        }
      }
      ends.clear();
      scan_splits(kind, text, ends);
      ASSERT_EQ(ends, by_regex(*regex, text))
          << "expression " << static_cast<int>(kind) << " on " << in_quotes(text, 200);
    }
  }
}

// The same for every code point between letters, after a space and after a number.
TEST(SplitScanner, AgreesOnEveryCodePoint) {
  for (const KnownSplit kind : kAll) {
    const auto regex = Regex::compile(split_expression(kind));
    ASSERT_TRUE(regex.ok()) << regex.error().message;
    std::string text;
    for (char32_t c = 0; c < 0x110000; ++c) {
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      if (c > 0x33000 && c < 0xE0000) continue;  // nothing is there
      text += 'b';
      append_utf8(text, c);
      text += "c ";
      append_utf8(text, c);
      text += "7";
      append_utf8(text, c);
      if (c % 64 != 0) continue;
      std::vector<uint32_t> ends;
      scan_splits(kind, text, ends);
      ASSERT_EQ(ends, by_regex(*regex, text)) << "before code point " << static_cast<uint32_t>(c);
      text.clear();
    }
  }
}

// Other expressions are left to PCRE2.
TEST(SplitScanner, KnowsOnlyExactTexts) {
  EXPECT_EQ(known_split("\\p{L}+"), std::nullopt);
  EXPECT_EQ(known_split(std::string(split_expression(KnownSplit::kGpt2)) + "|x"), std::nullopt);
}

}  // namespace
}  // namespace sis::text::tok
