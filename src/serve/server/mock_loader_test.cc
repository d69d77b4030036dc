#include "serve/server/mock_loader.h"

#include <gtest/gtest.h>

#include "infer/models/mock/mock.h"
#include "serve/server/settings_table.h"
#include "serve/tasks/conversation.h"

namespace sis::server {
namespace {

Settings settings_with(std::vector<std::pair<std::string, std::string>> values) {
  auto settings =
      Settings::load(settings_table(), {.environment = std::move(values), .folder = ""});
  EXPECT_TRUE(settings.ok());
  return *std::move(settings);
}

ModelEntry mock(ModelKind kind) {
  ModelEntry entry;
  entry.name = "m";
  entry.kind = kind;
  entry.mock.emplace();
  return entry;
}

TEST(MockOptions, TheEntryComesBeforeTheSettings) {
  ModelEntry entry = mock(ModelKind::kChat);
  entry.mock = {{"jitter", 0.5}, {"memory_mb", 0}};
  const auto options = mock_options(entry, settings_with({{"MOCK_JITTER", "0.1"},
                                                          {"MOCK_MEMORY_MB", "7"},
                                                          {"MOCK_SEED", "3"},
                                                          {"MOCK_DECODE_US_PER_STEP", "1.5"}}));
  EXPECT_EQ(options.jitter, 0.5);
  EXPECT_EQ(options.memory_mb, 0);
  EXPECT_EQ(options.seed, 3);
  EXPECT_EQ(options.decode_us_per_step, 1.5);
  EXPECT_EQ(options.embed_us_per_batch, 0);
}

// Every text comes back from its tokens, words are one token, and a conversation ends where an
// answer begins.
TEST(MockChatModel, TokenizerAndTemplate) {
  const auto model = make_mock_chat_model(mock(ModelKind::kChat), {});
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto& tokenizer = *model->tokenizer;
  const models::MockVocabulary words;
  EXPECT_EQ(tokenizer.vocab_size(), words.size());
  EXPECT_EQ(model->decoder->info().vocab, words.size());
  std::string every;
  for (int byte = 1; byte < 128; ++byte) every += static_cast<char>(byte);
  for (const std::string& text : {std::string("the old river follows the quiet garden slowly."),
                                  std::string("Grüße, 世界 😀\n\t\"quoted\" \\ done"), every}) {
    const auto ids = tokenizer.encode(text, {.add_special_tokens = false}).ids;
    EXPECT_EQ(tokenizer.decode(ids, true), text);
  }
  EXPECT_EQ(
      tokenizer.encode(" old river follows the quiet garden slowly.", {.add_special_tokens = false})
          .ids.size(),
      8u);
  const auto raw = tokenizer.encode("x", {}).ids;
  EXPECT_EQ(raw.back(), words.assistant());
  EXPECT_EQ(tokenizer.decode({words.answer_token(1, 0), words.end()}, true).find('<'),
            std::string::npos);

  const auto text = model->text_model();
  const auto prompt =
      tasks::render_conversation({.request = tasks::one_message("hi <there>")}, text);
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  EXPECT_EQ(*prompt, "<|user|>hi <there><|end|><|assistant|>");
  const auto ids = tokenizer.encode(*prompt, {.add_special_tokens = false}).ids;
  EXPECT_EQ(ids.back(), words.assistant());
}

TEST(MockEmbedModel, Loads) {
  SteadyClock clock;
  engine::DeviceExecutor executor({.threads = 1}, clock);
  ModelEntry entry = mock(ModelKind::kEmbedding);
  entry.matryoshka = true;
  const auto model = make_mock_embed_model(entry, {}, executor);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->dimensions(), models::kMockHidden);
  EXPECT_TRUE(model->any_dimensions);
  EXPECT_EQ(model->tokenizer->vocab_size(), model->encoder->info().vocab);
}

}  // namespace
}  // namespace sis::server
