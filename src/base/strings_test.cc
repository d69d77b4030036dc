#include "base/strings.h"

#include <gtest/gtest.h>

namespace sis {
namespace {

TEST(Strings, SplitListTrimsAndDropsBlanks) {
  EXPECT_EQ(split_list(" a, b ,,c,"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(split_list(" , ").empty());
}

TEST(Strings, NumbersMustBeWhole) {
  EXPECT_EQ(parse_int("-12"), -12);
  EXPECT_FALSE(parse_int("12x"));
  EXPECT_FALSE(parse_int(""));
  EXPECT_FALSE(parse_int(" 1"));
  EXPECT_EQ(parse_double("0.5"), 0.5);
  EXPECT_FALSE(parse_double("nan"));
  EXPECT_FALSE(parse_double("1e999"));
}

// Well-formed and ill-formed sequences of the Unicode standard's table 3-7.
TEST(Strings, Utf8) {
  EXPECT_TRUE(is_utf8("plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"));
  for (const char* bad : {"\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80",
                          "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xFF", "a\xE2\x82"})
    EXPECT_FALSE(is_utf8(bad)) << bad;
  EXPECT_EQ(count_code_points("a\xC3\xA9\xF0\x9F\x98\x80"), 3);
}

TEST(Strings, QuotedEscapesAndCutsBetweenCodePoints) {
  EXPECT_EQ(in_quotes("a\nb"), "'a\\x0ab'");
  for (size_t limit = 1; limit < 12; ++limit)
    EXPECT_TRUE(is_utf8(in_quotes("\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC", limit)))
        << limit;
}

}  // namespace
}  // namespace sis
