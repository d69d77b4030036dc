#include "net/redis_url.h"

#include <gtest/gtest.h>

#include <string>

namespace sis::net {
namespace {

TEST(RedisUrl, TakesWhatPeopleWrite) {
  const auto full = parse_redis_url("redis://me:p%40ss@cache.local:6380/3");
  ASSERT_TRUE(full.ok()) << full.error().message;
  EXPECT_EQ(full->host, "cache.local");
  EXPECT_EQ(full->port, 6380);
  EXPECT_EQ(full->user, "me");
  EXPECT_EQ(full->password, "p@ss");
  EXPECT_EQ(full->db, 3);
  EXPECT_EQ(full->place(), "redis://cache.local:6380/3");

  const auto bare = parse_redis_url("REDIS://localhost");
  ASSERT_TRUE(bare.ok()) << bare.error().message;
  EXPECT_EQ(bare->place(), "redis://localhost:6379/0");
  EXPECT_TRUE(bare->user.empty());
  EXPECT_TRUE(bare->password.empty());

  const auto v6 = parse_redis_url("redis://:s:e@cret@[::1]/");
  ASSERT_TRUE(v6.ok()) << v6.error().message;
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->password, "s:e@cret");
  EXPECT_EQ(v6->place(), "redis://[::1]:6379/0");
}

// Each says what is wrong, and none repeats the password.
TEST(RedisUrl, RefusesWithoutTellingThePassword) {
  for (const char* text : {"",
                           "localhost:6379",
                           "http://:hunter2@h",
                           "rediss://:hunter2@h:6379",
                           "redis://",
                           "redis://:hunter2@",
                           "redis://:hunter2@h:0",
                           "redis://:hunter2@h:70000",
                           "redis://:hunter2@h/x",
                           "redis://:hunter2@h/-1",
                           "redis://:hunter2@h/+1",
                           "redis://:hunter2@h/99999999999",
                           "redis://:hunter2@h/0?x=1",
                           "redis://:hunter2@h/0#x",
                           "redis://:hunter2@bad_host-/0",
                           "redis://:hunter2@[::g]",
                           "redis://:hunter2%4@h",
                           "redis://hunter2@h",
                           "redis://me:@h",
                           "redis://:hunter2@h h",
                           "redis://:hunter2@h/0\n",
                           "redis://:hunter2@1.2.3"}) {
    const auto url = parse_redis_url(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_EQ(url.error().code, Code::kInvalidArgument);
    EXPECT_TRUE(url.error().message.starts_with("Redis URL: ")) << url.error().message;
    EXPECT_EQ(url.error().message.find("hunter2"), std::string::npos) << url.error().message;
  }
  EXPECT_NE(parse_redis_url("rediss://h").error().message.find("TLS"), std::string::npos);
  EXPECT_FALSE(parse_redis_url("redis://" + std::string(3000, 'a')).ok());
}

}  // namespace
}  // namespace sis::net
