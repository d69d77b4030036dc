#include "net/redis_reply.h"

#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::net {
namespace {

using Kind = RedisReply::Kind;

// All kinds, one byte at a time and all at once.
TEST(RedisReader, ReadsAllKinds) {
  const std::string wire =
      "+OK\r\n-ERR no\r\n:42\r\n$-1\r\n$5\r\nhe\r\no\r\n$0\r\n\r\n"
      "*3\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n+x\r\n*0\r\n*-1\r\n";
  for (const size_t piece : {size_t{1}, size_t{7}, wire.size()}) {
    RedisReader reader(1000);
    std::vector<RedisReply> replies;
    for (size_t at = 0; at < wire.size(); at += piece)
      ASSERT_TRUE(reader.feed(std::string_view(wire).substr(at, piece), replies).ok());
    ASSERT_EQ(replies.size(), 9u) << "piece=" << piece;
    EXPECT_EQ(replies[0].kind, Kind::kStatus);
    EXPECT_EQ(replies[0].text, "OK");
    EXPECT_EQ(replies[1].kind, Kind::kError);
    EXPECT_EQ(replies[1].text, "ERR no");
    EXPECT_EQ(replies[2].integer, 42);
    EXPECT_EQ(replies[3].kind, Kind::kNil);
    EXPECT_EQ(replies[4].text, "he\r\no");
    EXPECT_EQ(replies[5].kind, Kind::kText);
    const RedisReply& list = replies[6];
    ASSERT_EQ(list.items.size(), 3u);
    EXPECT_EQ(list.items[0].integer, 1);
    ASSERT_EQ(list.items[1].items.size(), 2u);
    EXPECT_EQ(list.items[1].items[0].text, "a");
    EXPECT_EQ(list.items[1].items[1].kind, Kind::kNil);
    EXPECT_EQ(list.items[2].kind, Kind::kStatus);
    EXPECT_EQ(replies[7].kind, Kind::kList);
    EXPECT_EQ(replies[8].kind, Kind::kNil);
  }
}

// Too long, too many, too deep, or no Redis at all: an error, and nothing is read after it.
TEST(RedisReader, GivesUpAtItsBounds) {
  std::string deep;
  for (int i = 0; i < 12; ++i) deep += "*1\r\n";
  std::string many_texts = "*100\r\n";
  for (int i = 0; i < 100; ++i) many_texts += "$20\r\n" + std::string(20, 'x') + "\r\n";
  for (const std::string& wire :
       {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string("*2147483647\r\n"),
        std::string("*99999999999999999999\r\n"), std::string("*-2\r\n"), std::string("$-7\r\n"),
        concat("*", RedisReader::kItemsMax + 1, "\r\n"), "*2\r\n*16000\r\n" + std::string(),
        "$2000000\r\n" + std::string(1100, 'x'), "+" + std::string(1100, 'x'), deep, many_texts,
        std::string("\0\0\0", 3)}) {
    RedisReader reader(1000);
    std::vector<RedisReply> replies;
    const Status status = reader.feed(wire, replies);
    if (wire == "*2\r\n*16000\r\n") {
      EXPECT_TRUE(status.ok());  // the rest may follow, but not a list of as many more
      std::string rest;
      for (int i = 0; i < 16000; ++i) rest += ":1\r\n";
      EXPECT_FALSE(reader.feed(rest + "*16000\r\n", replies).ok());
      continue;
    }
    ASSERT_FALSE(status.ok()) << in_quotes(wire, 40);
    EXPECT_TRUE(replies.empty());
    EXPECT_FALSE(reader.feed("+OK\r\n", replies).ok());
    EXPECT_TRUE(replies.empty());
  }
}

// Bytes near the protocol, in random pieces: replies within the bounds or an error, no more.
TEST(RedisReader, SurvivesRandomBytes) {
  Rng rng(7);
  const std::string_view alphabet = "*$+-:\r\n0123456789a";
  int errors = 0, replied = 0;
  for (int round = 0; round < 3000; ++round) {
    RedisReader reader(200);
    for (int piece = 0; piece < 6; ++piece) {
      std::string bytes;
      for (uint64_t i = rng.below(30); i > 0; --i) {
        if (rng.below(3) == 0)
          bytes += rng.below(2) == 0 ? "\r\n$1\r\na\r\n" : "\r\n*2\r\n";
        else
          bytes += alphabet[rng.below(alphabet.size())];
      }
      std::vector<RedisReply> replies;
      errors += !reader.feed(bytes, replies).ok();
      replied += static_cast<int>(replies.size());
      for (const auto& reply : replies) ASSERT_LE(reply.items.size(), 16384u);
    }
  }
  EXPECT_GT(errors, 1000);
  EXPECT_GT(replied, 100);
}

}  // namespace
}  // namespace sis::net
