#include "net/http_text.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sis::net {
namespace {

TEST(HttpText, ChoosesTheCodingByWeightThenByOurOrder) {
  EXPECT_EQ(choose_coding(""), Coding::kIdentity);
  EXPECT_EQ(choose_coding("gzip"), Coding::kGzip);
  EXPECT_EQ(choose_coding("gzip, deflate, br, zstd"), Coding::kZstd);
  EXPECT_EQ(choose_coding("gzip, br"), Coding::kBrotli);
  EXPECT_EQ(choose_coding("zstd;q=0.5, gzip;q=0.8"), Coding::kGzip);
  EXPECT_EQ(choose_coding("GZIP ; Q=0.001"), Coding::kGzip);
  EXPECT_EQ(choose_coding("*"), Coding::kZstd);
  EXPECT_EQ(choose_coding("zstd;q=0, *;q=0.1"), Coding::kBrotli);
  EXPECT_EQ(choose_coding("gzip;q=0"), Coding::kIdentity);
  EXPECT_EQ(choose_coding("identity, gzip;q=0.5"), Coding::kIdentity);
  EXPECT_EQ(choose_coding("deflate"), Coding::kIdentity);
  // Unreadable weights are no wishes.
  EXPECT_EQ(choose_coding("gzip;q=2"), Coding::kIdentity);
  EXPECT_EQ(choose_coding("gzip;q=1.0001"), Coding::kIdentity);
  EXPECT_EQ(choose_coding("gzip;q=-1, ,;,br;q=abc"), Coding::kIdentity);
}

TEST(HttpText, DecodesPathsOrSaysWhyNot) {
  EXPECT_EQ(percent_decode("/v1/models/BAAI%2Fbge-m3").value(), "/v1/models/BAAI/bge-m3");
  EXPECT_EQ(percent_decode("/%e2%82%AC").value(), "/\xE2\x82\xAC");
  EXPECT_EQ(percent_decode("/a+b").value(), "/a+b");
  for (const char* bad : {"/%", "/%2", "/%2x", "/%zz", "/%00", "/%0a", "/%7f", "/%ff", "/%c0%af"}) {
    const auto path = percent_decode(bad);
    ASSERT_FALSE(path) << bad;
    EXPECT_EQ(path.error().code, Code::kInvalidArgument);
  }
}

TEST(HttpText, TellsTokensValuesListsAndIds) {
  EXPECT_TRUE(is_token("X-Request-ID"));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("a b"));
  EXPECT_FALSE(is_token("a:"));
  EXPECT_FALSE(is_token("\xE4"));
  EXPECT_TRUE(is_field_value("a\tb \xFF"));
  EXPECT_FALSE(is_field_value(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_field_value("a\r\nX: y"));
  EXPECT_FALSE(is_field_value("\x7F"));
  EXPECT_TRUE(list_has_token("Keep-Alive , CLOSE", "close"));
  EXPECT_FALSE(list_has_token("closed, x close", "close"));
  EXPECT_TRUE(is_echoable_id(std::string(128, '~')));
  EXPECT_FALSE(is_echoable_id(std::string(129, '~')));
  EXPECT_FALSE(is_echoable_id(""));
  EXPECT_FALSE(is_echoable_id("a b"));
  EXPECT_FALSE(is_echoable_id("\xC3\xA4"));
}

TEST(HttpText, FormatsDates) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}

}  // namespace
}  // namespace sis::net
