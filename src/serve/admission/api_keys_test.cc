#include "serve/admission/api_keys.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sis::admission {
namespace {

ApiKey key(const std::string& name, const std::string& secret) {
  ApiKey made;
  made.name = name;
  made.hash = sha256(secret);
  return made;
}

TEST(KeyRing, FindsByHash) {
  std::vector<ApiKey> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back(key(concat("k", i), concat("secret ", i)));
  const auto ring = KeyRing::create(std::move(keys));
  ASSERT_TRUE(ring.ok());
  for (int i = 0; i < 1000; ++i) {
    const ApiKey* found = ring->find(sha256(concat("secret ", i)));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->name, concat("k", i));
  }
  EXPECT_EQ(ring->find(sha256("secret 1000")), nullptr);
  Sha256 near = sha256("secret 1");  // in the same bucket, yet another hash
  near.back() ^= 1;
  EXPECT_EQ(ring->find(near), nullptr);
}

TEST(KeyRing, RefusesDoubles) {
  const auto names = KeyRing::create({key("a", "1"), key("a", "2")});
  ASSERT_FALSE(names.ok());
  EXPECT_NE(names.error().message.find(in_quotes("a")), std::string::npos);
  const auto hashes = KeyRing::create({key("a", "1"), key("b", "1")});
  ASSERT_FALSE(hashes.ok());
  EXPECT_NE(hashes.error().message.find(in_quotes("b")), std::string::npos);
  std::vector<ApiKey> many(kKeysMax + 1);
  EXPECT_FALSE(KeyRing::create(std::move(many)).ok());
}

TEST(ApiKey, MayUseWhatItsPatternsSay) {
  ApiKey any = key("a", "1");
  EXPECT_TRUE(any.may_use_model("x") && any.may_use_route("/v1/x"));
  any.models = {"demo/chat", "Qwen/*"};
  any.routes = {"/v1/chat/completions", "/v1/models*"};
  EXPECT_TRUE(any.may_use_model("demo/chat") && any.may_use_model("Qwen/Qwen3"));
  EXPECT_FALSE(any.may_use_model("demo/chat2") || any.may_use_model("qwen/x") ||
               any.may_use_model(""));
  EXPECT_TRUE(any.may_use_route("/v1/models") && any.may_use_route("/v1/models/a/b"));
  EXPECT_FALSE(any.may_use_route("/v1/embeddings") || any.may_use_route("/v1/chat"));
}

TEST(ApiKey, NamesAndExpiry) {
  EXPECT_TRUE(is_key_name("alice") && is_key_name("ci-2.prod_x") &&
              is_key_name(std::string(64, 'a')));
  for (const std::string name : {"", "a b", "a\n", "ä", "a:b", "\"", "*"})
    EXPECT_FALSE(is_key_name(name)) << name;
  EXPECT_FALSE(is_key_name(std::string(65, 'a')));
  ApiKey timed = key("a", "1");
  EXPECT_FALSE(is_expired(timed, 1LL << 60));
  timed.expires_at = 100;
  EXPECT_FALSE(is_expired(timed, 99));
  EXPECT_TRUE(is_expired(timed, 100));
}

}  // namespace
}  // namespace sis::admission
