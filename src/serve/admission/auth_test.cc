#include "serve/admission/auth.h"

#include <gtest/gtest.h>

#include <set>

namespace sis::admission {
namespace {

TEST(Sha256, OfTheStandardsExamples) {
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(parse_sha256(to_hex(sha256("x"))), sha256("x"));
  EXPECT_EQ(parse_sha256("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
            sha256("abc"));
  EXPECT_FALSE(parse_sha256(""));
  EXPECT_FALSE(parse_sha256(std::string(64, 'g')));
  EXPECT_FALSE(parse_sha256(std::string(63, 'a')));
  EXPECT_FALSE(parse_sha256(std::string(66, 'a')));
  EXPECT_TRUE(same_hash(sha256("a"), sha256("a")));
  EXPECT_FALSE(same_hash(sha256("a"), sha256("b")));
}

TEST(MakeKey, IsLongRandomAndFitForAHeader) {
  std::set<std::string> keys;
  for (int i = 0; i < 100; ++i) {
    const std::string key = make_key();
    EXPECT_EQ(key.size(), kKeyPrefix.size() + 43);
    EXPECT_TRUE(key.starts_with(kKeyPrefix));
    EXPECT_EQ(bearer_token("Bearer " + key), key);
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 100u);
}

TEST(BearerToken, TakesOneFormOnly) {
  EXPECT_EQ(bearer_token("Bearer abc"), "abc");
  EXPECT_EQ(bearer_token("bEARER   abc  "), "abc");
  EXPECT_EQ(bearer_token("Bearer " + std::string(kTokenBytesMax, 'x')),
            std::string(kTokenBytesMax, 'x'));
  for (const std::string& header :
       {std::string(), std::string("Bearer"), std::string("Bearer "), std::string("Bearer    "),
        std::string("Basic abc"), std::string("abc"), std::string("Bearerabc"),
        std::string("Bearer a b"), std::string("Bearer a\tb"), std::string("Bearer \xC3\xA4"),
        std::string("Bearer a\0b", 10), "Bearer " + std::string(kTokenBytesMax + 1, 'x'),
        "Bearer " + std::string(100000, ' ')})
    EXPECT_FALSE(bearer_token(header)) << header.substr(0, 20);
}

}  // namespace
}  // namespace sis::admission
