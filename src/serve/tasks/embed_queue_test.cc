#include "serve/tasks/embed_queue.h"

#include <gtest/gtest.h>

namespace sis::tasks {
namespace {

using Text = std::shared_ptr<QueuedText>;
using Queue = EmbedQueue<Text>;
using std::chrono::milliseconds;

std::vector<Text> texts(int count, int32_t tokens) {
  std::vector<Text> out;
  for (int i = 0; i < count; ++i)
    out.push_back(std::make_shared<QueuedText>(QueuedText{.tokens = tokens}));
  return out;
}

// Two requests 10 ms apart within a window of 50 ms make one batch, due 50 ms after the first.
TEST(EmbedQueue, WindowGathersCompanions) {
  ManualClock clock;
  Queue queue({.window = milliseconds(50)});
  EXPECT_FALSE(queue.due(clock.now()).has_value());
  const auto start = clock.now();
  queue.push(texts(1, 8), clock.now());
  clock.advance(milliseconds(10));
  queue.push(texts(1, 8), clock.now());
  EXPECT_EQ(queue.due(clock.now()), start + milliseconds(50));
  clock.advance(milliseconds(40));
  EXPECT_LE(*queue.due(clock.now()), clock.now());
  std::vector<Text> dropped;
  const auto batch = queue.take(clock.now(), dropped);
  EXPECT_EQ(batch.texts.size(), 2u);
  EXPECT_EQ(batch.tokens, 16);
  ASSERT_EQ(batch.waits.size(), 2u);
  EXPECT_EQ(batch.waits[0], milliseconds(50));
  EXPECT_EQ(batch.waits[1], milliseconds(40));
  EXPECT_TRUE(queue.empty());
}

TEST(EmbedQueue, WindowZeroStillDrainsWhatWaits) {
  ManualClock clock;
  Queue queue({.window = Duration::zero()});
  for (int i = 0; i < 5; ++i) queue.push(texts(1, 8), clock.now());
  EXPECT_EQ(queue.due(clock.now()), clock.now());
  std::vector<Text> dropped;
  EXPECT_EQ(queue.take(clock.now(), dropped).texts.size(), 5u);
}

TEST(EmbedQueue, FullBatchIsDueAtOnce) {
  ManualClock clock;
  Queue by_texts({.window = milliseconds(50), .texts_max = 4});
  by_texts.push(texts(3, 1), clock.now());
  EXPECT_GT(*by_texts.due(clock.now()), clock.now());
  by_texts.push(texts(1, 1), clock.now());
  EXPECT_EQ(by_texts.due(clock.now()), clock.now());

  Queue by_tokens({.window = milliseconds(50), .tokens_max = 100});
  by_tokens.push(texts(1, 100), clock.now());
  EXPECT_EQ(by_tokens.due(clock.now()), clock.now());
}

// Requests stay whole at the text limit (the batch overshoots) and are cut at the token limit.
TEST(EmbedQueue, LimitsOfOneBatch) {
  ManualClock clock;
  std::vector<Text> dropped;
  Queue queue({.texts_max = 4});
  queue.push(texts(3, 1), clock.now());
  queue.push(texts(3, 1), clock.now());
  queue.push(texts(1, 1), clock.now());
  EXPECT_EQ(queue.take(clock.now(), dropped).texts.size(), 6u);
  EXPECT_EQ(queue.take(clock.now(), dropped).texts.size(), 1u);

  Queue cut({.texts_max = 100, .tokens_max = 100});
  cut.push(texts(5, 40), clock.now());
  EXPECT_EQ(cut.take(clock.now(), dropped).texts.size(), 2u);
  EXPECT_EQ(cut.requests(), 1);
  auto second = cut.take(clock.now(), dropped);
  EXPECT_EQ(second.texts.size(), 2u);
  EXPECT_TRUE(second.waits.empty());  // counted when the request entered
  EXPECT_EQ(cut.take(clock.now(), dropped).texts.size(), 1u);
  EXPECT_TRUE(cut.empty());

  Queue huge({.tokens_max = 100});
  huge.push(texts(1, 500), clock.now());
  EXPECT_EQ(huge.take(clock.now(), dropped).tokens, 500);
  EXPECT_TRUE(dropped.empty());
}

TEST(EmbedQueue, BatchingOffRunsRequestsAlone) {
  ManualClock clock;
  std::vector<Text> dropped;
  Queue queue({.window = milliseconds(50), .batching = false});
  queue.push(texts(2, 1), clock.now());
  queue.push(texts(1, 1), clock.now());
  EXPECT_EQ(queue.due(clock.now()), clock.now());
  EXPECT_EQ(queue.take(clock.now(), dropped).texts.size(), 2u);
  EXPECT_EQ(queue.take(clock.now(), dropped).texts.size(), 1u);
}

// What nobody waits for any more never reaches the device; companions are untouched.
TEST(EmbedQueue, UnwantedTextsAreDropped) {
  ManualClock clock;
  std::vector<Text> dropped;
  Queue queue({});
  auto gone = texts(2, 10), stays = texts(1, 10);
  queue.push(gone, clock.now());
  queue.push(stays, clock.now());
  for (auto& text : gone) text->wanted = false;
  const auto batch = queue.take(clock.now(), dropped);
  ASSERT_EQ(batch.texts.size(), 1u);
  EXPECT_EQ(batch.texts[0], stays[0]);
  EXPECT_EQ(batch.tokens, 10);
  EXPECT_EQ(batch.waits.size(), 1u);
  EXPECT_EQ(dropped.size(), 2u);
  EXPECT_EQ(queue.texts(), 0);
}

// One request of 40 texts stands in front of short ones: they come with the next batch, and the
// long one goes on with at least half of every batch.
TEST(EmbedQueue, ShortRequestsPassALongOne) {
  ManualClock clock;
  Queue queue({.texts_max = 32, .tokens_max = 400});
  std::vector<Text> dropped;
  queue.push(texts(40, 50), clock.now());
  EXPECT_EQ(queue.take(clock.now(), dropped).tokens, 400);
  for (int i = 0; i < 3; ++i) queue.push(texts(1, 10), clock.now());
  auto batch = queue.take(clock.now(), dropped);
  EXPECT_EQ(batch.waits.size(), 3u);
  EXPECT_EQ(batch.tokens, 3 * 10 + 7 * 50);
  // However many short ones come, they take three quarters of a batch at most.
  for (int i = 0; i < 100; ++i) queue.push(texts(1, 10), clock.now());
  batch = queue.take(clock.now(), dropped);
  EXPECT_EQ(batch.waits.size(), 24u);  // three quarters of the texts of a batch
  EXPECT_EQ(batch.tokens, 24 * 10 + 3 * 50);
  int32_t tokens = 8 * 50 + 7 * 50 + 3 * 50;
  while (!queue.empty()) {
    const auto next = queue.take(clock.now(), dropped);
    for (const auto& text : next.texts) tokens += text->tokens == 50 ? 50 : 0;
  }
  EXPECT_EQ(tokens, 40 * 50);
  EXPECT_TRUE(dropped.empty());
}

TEST(EmbedQueue, ALowerLimitHoldsAndOneTextAlwaysGoes) {
  ManualClock clock;
  Queue queue({.texts_max = 32, .tokens_max = 400});
  std::vector<Text> dropped;
  queue.push(texts(4, 100), clock.now());
  EXPECT_EQ(queue.take(clock.now(), dropped, 250).tokens, 200);
  EXPECT_EQ(queue.take(clock.now(), dropped, 10).tokens, 100);
  EXPECT_EQ(queue.take(clock.now(), dropped).tokens, 100);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace sis::tasks
