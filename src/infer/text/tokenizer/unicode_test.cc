#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/strings.h"
#include "infer/text/tokenizer/precompiled.h"
#include "infer/text/tokenizer/regex.h"
#include "infer/text/tokenizer/unicode_forms.h"
#include "infer/text/tokenizer/unicode_tables.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

std::string in_form(std::string_view text, Form form) {
  std::vector<Change> changes;
  changes_to_form(text, form, changes);
  std::string out;
  for (const Change& change : changes) append_utf8(out, change.c);
  return out;
}

TEST(Utf8, EveryCodePointComesBack) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    size_t bytes = 0;
    ASSERT_EQ(decode_utf8(text, 0, bytes), c);
    ASSERT_EQ(bytes, text.size());
    ASSERT_EQ(utf8_length(c), bytes);
    ASSERT_EQ(utf8_length(text[0]), bytes);
  }
}

// The tables follow old Unicode versions where the library does: marks and punctuation stop at 8,
// the forms at 9, while lower case and white space are of today.
TEST(UnicodeTables, VersionsOfTheLibrary) {
  const UnicodeTables& tables = UnicodeTables::get();
  EXPECT_TRUE(tables.has(U'!', kPunctuation));
  EXPECT_TRUE(tables.has(U'$', kPunctuation));  // a symbol, but ASCII
  EXPECT_FALSE(tables.has(0x20AC, kPunctuation));
  EXPECT_TRUE(tables.has(0x3002, kPunctuation));
  EXPECT_FALSE(tables.has(0x2E4F, kPunctuation));  // Unicode 12
  EXPECT_TRUE(tables.has(0x0301, kNonspacingMark));
  EXPECT_FALSE(tables.has(0x1DF6, kNonspacingMark));  // Unicode 10
  EXPECT_TRUE(tables.has(0x00AD, kControl));
  EXPECT_TRUE(tables.has(0xE000, kControl));
  EXPECT_FALSE(tables.has(0x0378, kControl));  // unassigned
  EXPECT_TRUE(tables.has(0x3000, kWhiteSpace));
  EXPECT_FALSE(tables.has(0x200B, kWhiteSpace));
  EXPECT_EQ(tables.combining_class(0x0301), 230);
  EXPECT_EQ(tables.combining_class(0x16FF0), 0);  // Unicode 13
  char32_t buffer[2];
  EXPECT_EQ(tables.lower(U'\u0130', buffer), U"i\u0307");
  EXPECT_EQ(tables.lower(0x10D50, buffer), std::u32string_view(U"\U00010D70"));  // Unicode 16
  EXPECT_EQ(tables.flags(0x110000), 0);
}

// Where a glance says that a form leaves a text alone, it does: every code point alone and after a
// letter, and random mixes.
TEST(UnicodeForms, GlanceIsRight) {
  std::vector<Change> changes;
  const auto check = [&](const std::string& text) {
    for (const Form form : {Form::kNfc, Form::kNfd, Form::kNfkc, Form::kNfkd}) {
      if (!surely_in_form(text, form)) continue;
      changes_to_form(text, form, changes);
      std::string got;
      for (const Change& change : changes) {
        append_utf8(got, change.c);
        ASSERT_EQ(change.change, 0) << in_quotes(text);
      }
      ASSERT_EQ(got, text) << "form " << static_cast<int>(form);
    }
  };
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    check(text);
    check("e" + text);
    if (HasFatalFailure()) return;
  }
  Rng rng{3};
  for (int round = 0; round < 100'000; ++round) {
    std::string text;
    for (uint64_t count = rng.below(5) + 1; count > 0; --count) {
      constexpr char32_t kTops[] = {0x250, 0x370, 0x1000, 0x1200, 0x3100, 0xD7A4, 0x20000};
      const auto c = static_cast<char32_t>(rng.below(kTops[rng.below(7)]));
      append_utf8(text, rng.below(3) == 0 ? 0x300 + c % 0x50 : c);
    }
    check(text);
    if (HasFatalFailure()) return;
  }
}

TEST(UnicodeForms, ComposeAndDecompose) {
  EXPECT_EQ(in_form("e\u0301\u0323", Form::kNfc), "\u1EB9\u0301");
  EXPECT_EQ(in_form("\u1EC7", Form::kNfd), "e\u0323\u0302");
  EXPECT_EQ(in_form("\uAC01", Form::kNfd), "\u1100\u1161\u11A8");
  EXPECT_EQ(in_form("\u1100\u1161\u11A8", Form::kNfc), "\uAC01");
  EXPECT_EQ(in_form("\uFB01\u2460", Form::kNfkc), "fi1");
  EXPECT_EQ(in_form("\u0958", Form::kNfc), "\u0915\u093C");  // excluded from composition
  EXPECT_EQ(in_form("\u32FF", Form::kNfkc), "\u32FF");       // Unicode 12.1
  EXPECT_TRUE(surely_in_form("plain", Form::kNfkd));
  EXPECT_FALSE(surely_in_form("e\u0301", Form::kNfc));
}

TEST(UnicodeForms, GraphemeClusters) {
  const auto first = [](std::string_view text) {
    return std::string(text.substr(0, cluster_length(text, 0)));
  };
  EXPECT_EQ(first("ab"), "a");
  EXPECT_EQ(first("a\u0301\u0302b"), "a\u0301\u0302");
  EXPECT_EQ(first("\r\nx"), "\r\n");
  EXPECT_EQ(first("\n\u0301"), "\n");
  EXPECT_EQ(first("\U0001F469\u200D\U0001F467x"), "\U0001F469\u200D\U0001F467");
  EXPECT_EQ(first("\U0001F1E9\U0001F1EA\U0001F1FA"), "\U0001F1E9\U0001F1EA");
  EXPECT_EQ(first("\u1100\u1161\u11A8\u1100"), "\u1100\u1161\u11A8");
  EXPECT_EQ(first("\u0915\u094D\u0937x"), "\u0915\u094D\u0937");  // a conjunct
  EXPECT_EQ(first("\u0600a"),
            "\u0600"
            "a");  // a prepended mark
}

// Maps that lie about their sizes or point outside are refused, or the entry counts as not there.
TEST(CharsMap, HostileMaps) {
  EXPECT_FALSE(CharsMap::parse("").ok());
  EXPECT_FALSE(CharsMap::parse(std::string_view("\0\0\0\0", 4)).ok());
  EXPECT_FALSE(CharsMap::parse(std::string_view("\xFF\xFF\xFF\xFF", 4)).ok());
  // One unit whose offset points far away; then one that says "leaf" with a value outside.
  const auto wild = CharsMap::parse(std::string_view("\4\0\0\0\0\xFF\xFF\xFFx", 9));
  ASSERT_TRUE(wild.ok());
  for (int c = 0; c < 256; ++c) {
    const char byte = static_cast<char>(c);
    EXPECT_EQ(wild->replacement({&byte, 1}), std::nullopt);
  }
  EXPECT_EQ(decode_base64("YWJj"), "abc");
  EXPECT_EQ(decode_base64("YWI="), "ab");
  EXPECT_EQ(decode_base64(""), "");
  for (const char* bad : {"YWJ", "YW=j", "YWK=", "====", "YWJ\n", "=AAA"})
    EXPECT_EQ(decode_base64(bad), std::nullopt) << bad;
}

TEST(Regex, FindsLikeTheLibrary) {
  const auto all = [](std::string_view pattern, std::string_view text) {
    auto regex = Regex::compile(pattern);
    EXPECT_TRUE(regex.ok()) << pattern;
    std::vector<std::pair<size_t, size_t>> out;
    regex->for_each_match(text,
                          [&](Regex::Match match) { out.emplace_back(match.begin, match.end); });
    return out;
  };
  using Spans = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(all("a+", "aabca"), (Spans{{0, 2}, {4, 5}}));
  EXPECT_EQ(all("", "\u00e9a"), (Spans{{0, 0}, {2, 2}, {3, 3}}));
  EXPECT_EQ(all("a*", "aab"), (Spans{{0, 2}, {3, 3}}));
  EXPECT_EQ(all("\\h+", "xBe9g"), (Spans{{1, 4}}));  // hexadecimal digits, as in Ruby
  EXPECT_EQ(all("\\s", "\u180e \u0085"), (Spans{{3, 4}, {4, 6}}));
  EXPECT_FALSE(Regex::compile("(").ok());
  EXPECT_FALSE(Regex::compile(std::string(20000, 'a')).ok());
  auto literal = Regex::literal("a.b(");
  ASSERT_TRUE(literal.ok());
  Regex::Match match;
  EXPECT_TRUE(literal->search("xxa.b(", 0, match));
  EXPECT_FALSE(literal->search("xxaxb(", 0, match));
}

// A pattern that backtracks without end is given up, not waited for.
TEST(Regex, GivesUp) {
  const auto regex = Regex::compile("(a+)+$");
  ASSERT_TRUE(regex.ok());
  Regex::Match match;
  EXPECT_FALSE(regex->search(std::string(40, 'a') + "b", 0, match));
}

}  // namespace
}  // namespace sis::text::tok
