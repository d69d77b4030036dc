#include "serve/server/settings_table.h"

#include <gtest/gtest.h>

#include "base/dotenv.h"
#include "base/strings.h"

namespace sis::server {
namespace {

Settings load(std::vector<std::pair<std::string, std::string>> environment) {
  auto settings =
      Settings::load(settings_table(), {.environment = std::move(environment), .folder = ""});
  EXPECT_TRUE(settings.ok()) << (settings.ok() ? "" : settings.error().message);
  return *std::move(settings);
}

// The documented defaults and fallback chains.
TEST(SettingsTable, Defaults) {
  const Settings s = load({});
  EXPECT_TRUE(s.list("MODELS").empty());
  EXPECT_EQ(s.text("MODEL_DEVICE"), "auto");
  EXPECT_EQ(s.text("MODEL_CONFIG_PATH"), "models.yaml");
  EXPECT_EQ(s.text("HF_HOME"), "./models");
  EXPECT_EQ(s.integer("PORT"), 8000);
  EXPECT_EQ(s.integer("MAX_CONCURRENT"), 4);
  EXPECT_EQ(s.integer("VISION_MAX_CONCURRENT"), 4);
  EXPECT_EQ(s.integer("AUDIO_MAX_QUEUE_SIZE"), 64);
  EXPECT_EQ(s.duration("VLLM_PROXY_QUEUE_TIMEOUT_SEC"), from_seconds(2));
  EXPECT_EQ(s.integer("EMBEDDING_BATCH_WINDOW_MAX_SIZE"), 32);
  EXPECT_EQ(s.duration("EMBEDDING_BATCH_WINDOW_MS"), from_ms(6));
  EXPECT_EQ(s.integer("EMBEDDING_BATCH_QUEUE_SIZE"), 64);
  EXPECT_EQ(s.integer("PREDICT_MAX_BATCH_SIZE"), 100);
  EXPECT_EQ(s.list("REMOTE_IMAGE_MIME_ALLOWLIST").size(), 4u);
  EXPECT_EQ(s.shown("WEBHOOK_HMAC_SECRET"), "***");
  EXPECT_EQ(s.integer("MAX_BODY_BYTES"), 64 << 20);
}

TEST(SettingsTable, OldNamesStillWork) {
  const Settings s = load({{"MODEL_NAMES", "a, b"},
                           {"MODEL_CONFIG", "x.yaml"},
                           {"ENABLE_BATCHING", "no"},
                           {"BATCH_WINDOW_MS", "0"},
                           {"BATCH_WINDOW_MAX_SIZE", "8"},
                           {"BATCH_QUEUE_SIZE", "0"},
                           {"RERANK_MAX_WORKERS", "3"},
                           {"WARMUP_FAIL_FAST", "whatever"}});
  EXPECT_EQ(s.list("MODELS"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(s.text("MODEL_CONFIG_PATH"), "x.yaml");
  EXPECT_FALSE(s.flag("ENABLE_EMBEDDING_BATCHING"));
  EXPECT_EQ(s.duration("EMBEDDING_BATCH_WINDOW_MS"), Duration::zero());
  EXPECT_EQ(s.integer("EMBEDDING_BATCH_WINDOW_MAX_SIZE"), 8);
  EXPECT_EQ(s.integer("EMBEDDING_BATCH_QUEUE_SIZE"), 1);  // at least one place
}

// BATCH_MAX_SIZE belongs to /v1/infer; it sizes embedding batches only while those routes are off
// and nothing newer is set.
TEST(SettingsTable, BatchMaxSizeHasTwoReaders) {
  const auto window = [](std::vector<std::pair<std::string, std::string>> environment) {
    return load(std::move(environment)).integer("EMBEDDING_BATCH_WINDOW_MAX_SIZE");
  };
  EXPECT_EQ(window({{"BATCH_MAX_SIZE", "7"}}), 7);
  EXPECT_EQ(load({{"BATCH_MAX_SIZE", "7"}}).source_of("EMBEDDING_BATCH_WINDOW_MAX_SIZE"),
            "BATCH_MAX_SIZE (environment)");
  EXPECT_EQ(window({{"BATCH_MAX_SIZE", "7"}, {"BATCH_WINDOW_MAX_SIZE", "9"}}), 9);
  EXPECT_EQ(window({{"BATCH_MAX_SIZE", "7"}, {"TRUTHGPT_API_TOKEN", "changeme"}}), 7);
  EXPECT_EQ(window({{"BATCH_MAX_SIZE", "7"}, {"TRUTHGPT_API_TOKEN", "s3cret"}}), 32);
  EXPECT_EQ(window({{"BATCH_MAX_SIZE", "7"}, {"ENVIRONMENT", "development"}}), 32);
  EXPECT_EQ(window({{"MAX_BATCH_SIZE", "50"}}), 50);
}

// The profile of a checkout names only settings that exist, parses, and is the documented,
// conservative one.
TEST(SettingsTable, CommittedProfile) {
  const auto entries = read_dotenv("env", "env");
  ASSERT_TRUE(entries.ok()) << entries.error().message;
  ASSERT_GT(entries->size(), 40u);
  std::vector<std::pair<std::string, std::string>> environment;
  for (const auto& entry : *entries) {
    const int row = settings_table().find(entry.name);
    ASSERT_GE(row, 0) << "env line " << entry.line << ": " << entry.name;
    EXPECT_EQ(settings_table().rows()[row].name, entry.name) << "env uses an old name";
    EXPECT_FALSE(settings_table().rows()[row].secret) << entry.name << " is a secret";
    environment.emplace_back(entry.name, entry.value);
  }
  const Settings s = load(std::move(environment));
  EXPECT_TRUE(s.list("MODELS").empty());  // a checkout serves the demo model
  EXPECT_EQ(s.integer("MAX_CONCURRENT"), 1);
  EXPECT_EQ(s.integer("MAX_QUEUE_SIZE"), 128);
  EXPECT_EQ(s.integer("VISION_MAX_QUEUE_SIZE"), 64);
  EXPECT_EQ(s.number("EMBEDDING_BATCH_WINDOW_MS"), 4);
  EXPECT_EQ(s.integer("EMBEDDING_BATCH_WINDOW_MAX_SIZE"), 16);
  EXPECT_EQ(s.integer("CHAT_BATCH_MAX_SIZE"), 4);
}

TEST(SettingsTable, EveryRowSaysWhatItIs) {
  for (const auto& def : settings_table().rows()) {
    EXPECT_NE(std::string(def.help), "") << def.name;
    EXPECT_NE(std::string(def.group), "") << def.name;
    EXPECT_EQ(def.type == SettingType::kEnum, !def.choices.empty()) << def.name;
    const std::string_view name = def.name;
    EXPECT_EQ(def.type == SettingType::kSeconds,
              name.ends_with("_SEC") || name == "CACHE_DEFAULT_TTL" ||
                  name == "REMOTE_IMAGE_TIMEOUT" || name == "WEBHOOK_TIMESTAMP_WINDOW")
        << name;
    EXPECT_EQ(def.type == SettingType::kMillis, name.ends_with("_MS")) << name;
    EXPECT_NE(settings_flags_help().find("--" + setting_flag(def.name)) == std::string::npos,
              def.use != SettingUse::kIgnored)
        << def.name;
  }
  EXPECT_GE(settings_table().find_flag("device"), 0);
  EXPECT_EQ(settings_table().find_flag("config"), settings_table().find("MODEL_CONFIG_PATH"));
}

}  // namespace
}  // namespace sis::server
