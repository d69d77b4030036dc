#include "serve/cache/cache_key.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sis::cache {
namespace {

std::string key_of(const KeyParts& parts, PromptForm form = PromptForm::kExact) {
  const auto key = cache_key(parts, form);
  EXPECT_TRUE(key.ok()) << key.error().message;
  return key.ok() ? key->hex() : "";
}

// The same request written differently is the same request.
TEST(CacheKey, WritingDoesNotMatter) {
  const KeyParts one{.prompt = "p", .params = R"({"a":1,"b":[1.5,{"x":null,"y":"é"}],"c":true})"};
  const KeyParts other{
      .prompt = "p",
      .params = "{ \"c\" : true, \"b\": [ 15e-1, {\"y\":\"\\u00e9\", \"x\":null}],\n\"a\": 1.0 }"};
  EXPECT_EQ(key_of(one), key_of(other));
  EXPECT_EQ(key_of(one).size(), 64u);
}

// Whatever differs in meaning has another key, also where parts run into each other.
TEST(CacheKey, EveryPartMatters) {
  std::set<std::string> keys;
  const KeyParts parts[] = {
      {},
      {.route = "ab"},
      {.model = "ab"},
      {.route = "a", .model = "b"},
      {.fingerprint = "ab"},
      {.defaults = "ab"},
      {.prompt = "ab"},
      {.prompt = "AB"},
      {.prompt = " ab"},
      {.salt = "ab"},
      {.params = "{}"},
      {.params = "[]"},
      {.params = R"({"a":1})"},
      {.params = R"({"a":"1"})"},
      {.params = R"({"a":null})"},
      {.params = R"({"a":1,"a":2})"},
      {.params = R"({"a":2,"a":1})"},
      {.params = R"({"a":[1,2]})"},
      {.params = R"({"a":[12]})"},
      {.params = R"({"a":[[1],2]})"},
      {.params = R"({"a":0.1})"},
      {.params = R"({"a":0.10000000000000001e1})"},
      {.params = R"({"a":1e300})"},
      {.params = R"({"a":18446744073709551615})"},
      {.params = R"({"a":9223372036854775807})"},
      // With lengths before keys a value must not run into the length that follows.
      {.params = R"({"a":1,"bbbbbbbbbbbbbbbbbbbbb":2})"},
      {.params = R"({"a":12,"b":2})"},
  };
  for (const auto& one : parts) keys.insert(key_of(one));
  // {"a":1} comes as 0.10000000000000001e1 once more.
  EXPECT_EQ(keys.size(), std::size(parts) - 1);
}

TEST(CacheKey, PromptFormsShareWhatTheyAreAskedTo) {
  const KeyParts plain{.prompt = "hello World"}, padded{.prompt = "\t hello World\n"},
      lower{.prompt = "HELLO world "};
  EXPECT_NE(key_of(plain), key_of(padded));
  EXPECT_EQ(key_of(plain, PromptForm::kTrimmed), key_of(padded, PromptForm::kTrimmed));
  EXPECT_NE(key_of(plain, PromptForm::kTrimmed), key_of(lower, PromptForm::kTrimmed));
  EXPECT_EQ(key_of(plain, PromptForm::kLowerCase), key_of(lower, PromptForm::kLowerCase));
}

// Skipped members and nulls count only in the outermost object.
TEST(CacheKey, SkipsMembersThatDoNotMatter) {
  const std::string_view skip[] = {"user"};
  const auto canonical = [&](const char* json) { return *canonical_json(json, skip); };
  EXPECT_EQ(canonical(R"({"user":"me","a":1,"n":null})"), canonical(R"({"a":1})"));
  EXPECT_NE(canonical(R"({"a":{"user":"me"}})"), canonical(R"({"a":{}})"));
  EXPECT_NE(canonical(R"({"a":{"n":null}})"), canonical(R"({"a":{}})"));
  EXPECT_NE(*canonical_json(R"({"n":null})"), *canonical_json("{}"));
}

TEST(CacheKey, RefusesWhatIsNoJson) {
  for (const std::string& bad : {std::string("{"), std::string("nope"), std::string("{\"a\":1}}"),
                                 std::string("\"\xff\""), std::string(100, '[')}) {
    const auto key = cache_key({.params = bad});
    ASSERT_FALSE(key.ok()) << bad;
    EXPECT_EQ(key.error().code, Code::kInvalidArgument);
  }
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_FALSE(cache_key({.params = deep}).ok());
  const std::string not_so_deep = std::string(60, '[') + std::string(60, ']');
  EXPECT_TRUE(cache_key({.params = not_so_deep}).ok());
}

}  // namespace
}  // namespace sis::cache
