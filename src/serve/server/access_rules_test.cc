#include "serve/server/access_rules.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "serve/server/settings_table.h"

namespace sis::server {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

const std::string kHash = admission::to_hex(admission::sha256("one"));

Result<AccessRules> rules_of(const Pairs& environment) {
  auto settings = Settings::load(settings_table(),
                                 {.command_line = {}, .environment = environment, .folder = ""});
  EXPECT_TRUE(settings.ok());
  return load_access_rules(*settings, /*mock=*/false);
}
std::string fault_of(const Pairs& environment) {
  const auto rules = rules_of(environment);
  return rules.ok() ? "" : rules.error().message;
}

TEST(AccessRules, AreOpenUnlessAsked) {
  const auto rules = rules_of({});
  ASSERT_TRUE(rules.ok());
  EXPECT_FALSE(rules->needs_key("/v1/embeddings") || rules->needs_key("/v1/infer"));
  EXPECT_TRUE(rules->standing.is_unlimited());
  EXPECT_EQ(rules->endpoint("/v1/infer"), nullptr);
  EXPECT_FALSE(rules->metrics_key);
}

TEST(AccessRules, TakeKeysInline) {
  for (const std::string& value :
       {concat("alice:", kHash), concat(" alice:", kHash, " , "),
        concat("[{name: alice, sha256: ", kHash, "}]"),
        concat(R"({"keys":[{"name":"alice","sha256":")", kHash, R"("}]})")}) {
    const auto rules = rules_of({{"API_KEYS", value}});
    ASSERT_TRUE(rules.ok()) << value << ": " << rules.error().message;
    EXPECT_TRUE(rules->needs_key("/v1/embeddings"));
    const auto* key = rules->keys.find(admission::sha256("one"));
    ASSERT_NE(key, nullptr);
    EXPECT_EQ(key->name, "alice");
  }
  const auto none = rules_of({{"API_KEYS", "[]"}});  // nobody, not everybody
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->needs_key("/v1/embeddings"));
}

// A key written where its hash belongs must not show up in a message.
TEST(AccessRules, FaultsShowNoSecret) {
  for (const char* value : {"sk-sis-topsecret", "topsecret", "alice:topsecret", "sk-a.b/topsecret",
                            "[{name: a, sha256: topsecret}]", "alice:topsecret,bob"}) {
    const std::string fault = fault_of({{"API_KEYS", value}});
    EXPECT_NE(fault.find("API_KEYS"), std::string::npos) << value;
    EXPECT_EQ(fault.find("topsecret"), std::string::npos) << fault;
  }
  EXPECT_NE(fault_of({{"API_KEYS", "/nowhere/keys.yaml"}}).find("/nowhere/keys.yaml"),
            std::string::npos);
  EXPECT_NE(fault_of({{"RATE_LIMITS_FILE", "/nowhere.yaml"}}).find("/nowhere.yaml"),
            std::string::npos);
  EXPECT_NE(fault_of({{"TRUSTED_PROXIES", "10.0.0.0/99"}}).find("10.0.0.0/99"), std::string::npos);
}

TEST(AccessRules, TheInferTokenIsAKeyOfItsRoutes) {
  const auto rules = rules_of({{"TRUTHGPT_API_TOKEN", "s3cret"}});
  ASSERT_TRUE(rules.ok());
  EXPECT_TRUE(rules->needs_key("/v1/infer") && rules->needs_key("/v1/infer/stream"));
  EXPECT_FALSE(rules->needs_key("/v1/inference") || rules->needs_key("/v1/embeddings"));
  const auto* key = rules->keys.find(admission::sha256("s3cret"));
  ASSERT_NE(key, nullptr);
  EXPECT_TRUE(key->may_use_route("/v1/infer") && key->may_use_route("/v1/infer/stream"));
  EXPECT_FALSE(key->may_use_route("/v1/embeddings"));
  ASSERT_NE(rules->endpoint("/v1/infer"), nullptr);  // RATE_LIMIT_RPM's default holds here
  EXPECT_EQ(rules->endpoint("/v1/infer/stream")->windows.requests.at(0).limit, 600);
  EXPECT_TRUE(rules->standing.is_unlimited());
}

TEST(AccessRules, ThePlaceholderTokenIsRefusedOutsideDevelopment) {
  for (const char* token : {"changeme", "CHANGEME", "your-token"}) {
    const std::string fault = fault_of({{"TRUTHGPT_API_TOKEN", token}});
    EXPECT_NE(fault.find("TRUTHGPT_API_TOKEN"), std::string::npos) << token;
  }
  const auto rules = rules_of({{"TRUTHGPT_API_TOKEN", "changeme"}, {"ENVIRONMENT", "development"}});
  ASSERT_TRUE(rules.ok());
  EXPECT_NE(rules->keys.find(admission::sha256("changeme")), nullptr);
}

TEST(AccessRules, AKeysOwnLimitsStandBeforeTheGeneralOnes) {
  const auto rules =
      rules_of({{"RATE_LIMIT_RPM", "100"},
                {"RATE_LIMIT_WINDOW_SEC", "30"},
                {"API_KEYS",
                 concat("[{name: own, sha256: ", kHash, ", rpm: 5, concurrent: 2}, {name: plain,",
                        " sha256: ", admission::to_hex(admission::sha256("two")), "}]")}});
  ASSERT_TRUE(rules.ok()) << rules.error().message;
  const Grant& own = rules->grant(rules->keys.find(admission::sha256("one")));
  ASSERT_EQ(own.windows.requests.size(), 1u);
  EXPECT_EQ(own.windows.requests[0].limit, 5);
  EXPECT_EQ(own.concurrent, 2);
  const Grant& plain = rules->grant(rules->keys.find(admission::sha256("two")));
  EXPECT_EQ(plain.windows.requests.at(0).limit, 100);
  EXPECT_EQ(plain.windows.requests.at(0).length, std::chrono::seconds(30));
  EXPECT_EQ(rules->grant(nullptr).windows.requests.at(0).limit, 100);
}

}  // namespace
}  // namespace sis::server
