#include "serve/server/chat_options.h"

#include <gtest/gtest.h>

#include "serve/server/settings_table.h"

namespace sis::server {
namespace {

Settings load(std::vector<std::pair<std::string, std::string>> environment = {}) {
  auto settings =
      Settings::load(settings_table(), {.environment = std::move(environment), .folder = ""});
  EXPECT_TRUE(settings.ok()) << (settings.ok() ? "" : settings.error().message);
  return *std::move(settings);
}

// Who says nothing is asked next: catalog, checkpoint, server.
TEST(ChatOptions, DefaultsComeFromTheNearest) {
  const auto server = generate_defaults({}, {}, load());
  EXPECT_EQ(server.temperature, 0.7f);
  EXPECT_EQ(server.top_p, 0.9f);
  EXPECT_EQ(server.top_k, 0);
  EXPECT_EQ(server.tokens_max, 512);
  EXPECT_EQ(server.tokens_ceiling, 2048);
  EXPECT_EQ(server.prompt_tokens_max, 4096);
  EXPECT_EQ(server.generate_timeout, from_seconds(60));
  EXPECT_EQ(server.prepare_timeout, from_seconds(10));

  const tasks::GenerationConfig checkpoint{.temperature = 0.6f, .top_p = 0.95f, .top_k = 20};
  const auto file = generate_defaults({}, checkpoint, load());
  EXPECT_EQ(file.temperature, 0.6f);
  EXPECT_EQ(file.top_p, 0.95f);
  EXPECT_EQ(file.top_k, 20);

  ModelEntry entry;
  entry.defaults = {.temperature = 0.0, .max_tokens = 100};
  const auto catalog = generate_defaults(entry, checkpoint, load({{"MAX_NEW_TOKENS", "7"}}));
  EXPECT_EQ(catalog.temperature, 0.0f);
  EXPECT_EQ(catalog.top_p, 0.95f);
  EXPECT_EQ(catalog.tokens_max, 100);
  // No default is above the ceiling.
  EXPECT_EQ(generate_defaults(entry, {}, load({{"CHAT_MAX_NEW_TOKENS", "50"}})).tokens_max, 50);
}

TEST(ChatOptions, AStepHoldsARowOfEverySequence) {
  EXPECT_TRUE(check_chat_settings(load()).ok());
  EXPECT_TRUE(check_chat_settings(load({{"CHAT_BATCH_MAX_SIZE", "256"}})).ok());
  const auto few = check_chat_settings(load({{"CHAT_BATCH_MAX_SIZE", "512"}}));
  ASSERT_FALSE(few.ok());
  EXPECT_EQ(few.error().message,
            "CHAT_STEP_MAX_TOKENS: want at least CHAT_BATCH_MAX_SIZE = 512, a row for every "
            "sequence, got 256");
}

TEST(ChatOptions, BatchingOffIsOneSequence) {
  const auto on = generator_options({.context = 128, .bytes = 4096}, load());
  EXPECT_EQ(on.sequences_max, 8);
  EXPECT_EQ(on.idle_window, from_ms(10));
  EXPECT_EQ(on.queue_requests_max, 64);
  EXPECT_EQ(on.queue_wait_max, from_seconds(2));
  EXPECT_EQ(on.preemptions_max, 3);
  EXPECT_EQ(on.context_max, 128);
  EXPECT_EQ(on.kv_bytes, 4096);
  EXPECT_TRUE(on.prefix_cache);
  const auto off = generator_options({}, load({{"ENABLE_CHAT_BATCHING", "0"}}));
  EXPECT_EQ(off.sequences_max, 1);
  EXPECT_EQ(off.idle_window, Duration::zero());
  EXPECT_EQ(kv_plan_options({}, load({{"ENABLE_CHAT_BATCHING", "0"}})).sequences, 1);
}

TEST(ChatOptions, TheCatalogSizesTheCache) {
  const Settings settings = load({{"CHAT_CONTEXT", "1000"}, {"CHAT_KV_MEMORY_MB", "64"}});
  const auto server = kv_plan_options({}, settings);
  EXPECT_EQ(server.context, 1000);
  EXPECT_EQ(server.memory_mb, 64);
  ModelEntry entry;
  entry.context = 2000;
  entry.kv_memory_mb = 128;
  const auto catalog = kv_plan_options(entry, settings);
  EXPECT_EQ(catalog.context, 2000);
  EXPECT_EQ(catalog.memory_mb, 128);
}

}  // namespace
}  // namespace sis::server
