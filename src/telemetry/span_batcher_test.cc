#include "telemetry/span_batcher.h"

#include <gtest/gtest.h>

namespace sis::telemetry {
namespace {

constexpr SpanBatchOptions kSmall{.queue_spans_max = 10,
                                  .batch_spans_max = 4,
                                  .flush_every = std::chrono::seconds(2),
                                  .attempts_max = 3,
                                  .backoff_min = std::chrono::seconds(1),
                                  .backoff_max = std::chrono::seconds(3)};

// `count` spans of one request.
std::vector<Span> spans(size_t count, uint8_t trace = 1) {
  Span span;
  span.trace_id[0] = trace;
  return std::vector<Span>(count, span);
}

struct Batching {
  using Offer = SpanBatcher::Offer;
  Offer offer(size_t count, uint8_t trace = 1) {
    return batcher.offer(spans(count, trace), clock.now());
  }
  // How many spans are to be sent now.
  size_t begin(bool flushing = false) {
    const auto portion = batcher.begin(clock.now(), flushing);
    return portion ? portion->spans.size() : 0;
  }
  void end(ExportOutcome outcome, uint64_t refused = 0, bool last = false) {
    batcher.end(outcome, refused, clock.now(), /*jitter=*/1, last);
  }

  ManualClock clock;
  SpanBatcher batcher{kSmall};
};

TEST(SpanBatcher, WaitsForCompanyButNotForLong) {
  Batching b;
  EXPECT_FALSE(b.batcher.next_at());
  EXPECT_EQ(b.offer(1), Batching::Offer::kWake);
  EXPECT_EQ(b.begin(), 0u);
  b.clock.advance(from_seconds(1.9));
  EXPECT_EQ(b.offer(1), Batching::Offer::kKept);
  EXPECT_EQ(b.begin(), 0u);
  b.clock.advance(from_seconds(0.1));
  EXPECT_EQ(b.begin(), 2u);  // the first has waited for two seconds
  b.end(ExportOutcome::kSent);
  EXPECT_FALSE(b.batcher.next_at());
  EXPECT_EQ(b.batcher.counts().sent, 2u);
  EXPECT_EQ(b.batcher.counts().queued, 0u);
}

TEST(SpanBatcher, LeavesAtOnceWhenFullAndKeepsRequestsWhole) {
  Batching b;
  EXPECT_EQ(b.offer(3, 1), Batching::Offer::kWake);
  EXPECT_EQ(b.offer(3, 2), Batching::Offer::kWake);  // full: earlier than thought
  EXPECT_EQ(b.offer(1, 3), Batching::Offer::kKept);
  EXPECT_EQ(b.begin(), 6u);
  EXPECT_EQ(b.offer(1, 4), Batching::Offer::kKept);  // one is on its way
  b.end(ExportOutcome::kSent);
  EXPECT_EQ(b.begin(), 0u);
  EXPECT_EQ(b.begin(/*flushing=*/true), 2u);
}

TEST(SpanBatcher, AFullQueueRefusesWholeRequests) {
  Batching b;
  b.offer(8);
  EXPECT_EQ(b.offer(3), Batching::Offer::kDropped);
  EXPECT_EQ(b.batcher.counts().queue_full, 3u);
  EXPECT_NE(b.offer(2), Batching::Offer::kDropped);
  EXPECT_EQ(b.offer(1), Batching::Offer::kDropped);
  EXPECT_EQ(b.batcher.counts().queued, 10u);
  EXPECT_EQ(b.begin(), 10u);  // one request's spans: not cut
  EXPECT_NE(b.offer(10, 2), Batching::Offer::kDropped);
}

TEST(SpanBatcher, TriesAgainLaterAndLaterThenGivesUp) {
  Batching b;
  b.offer(4);
  EXPECT_EQ(b.begin(), 4u);
  b.end(ExportOutcome::kRetry);
  b.offer(1, 2);  // joins the next portion, not this one
  EXPECT_EQ(b.batcher.next_at(), b.clock.now() + from_seconds(1));
  EXPECT_EQ(b.begin(), 0u);
  b.clock.advance(from_seconds(1));
  EXPECT_EQ(b.begin(), 4u);
  b.end(ExportOutcome::kRetry);
  EXPECT_EQ(b.batcher.next_at(), b.clock.now() + from_seconds(2));
  b.clock.advance(from_seconds(2));
  EXPECT_EQ(b.begin(), 4u);
  b.end(ExportOutcome::kRetry);  // the third and last
  EXPECT_EQ(b.batcher.counts().failed, 4u);
  EXPECT_EQ(b.batcher.counts().retries, 2u);
  const auto portion = b.batcher.begin(b.clock.now(), /*flushing=*/true);
  ASSERT_TRUE(portion);
  EXPECT_EQ(portion->attempt, 1);
  EXPECT_EQ(portion->spans[0].trace_id[0], 2);
  b.end(ExportOutcome::kSent);
  EXPECT_EQ(b.batcher.counts().sent, 1u);
}

TEST(SpanBatcher, BackOffIsBoundedAndSpreadByJitter) {
  SpanBatchOptions options = kSmall;
  options.attempts_max = 100;
  SpanBatcher batcher(options);
  ManualClock clock;
  batcher.offer(spans(4), clock.now());
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(batcher.begin(clock.now(), /*flushing=*/true));
    batcher.end(ExportOutcome::kRetry, 0, clock.now(), i % 2 ? 1 : 0, /*last=*/false);
    EXPECT_GE(*batcher.next_at() - clock.now(), from_seconds(0.5));
    EXPECT_LE(*batcher.next_at() - clock.now(), from_seconds(i % 2 ? 3 : 1.5));
  }
}

TEST(SpanBatcher, WhatTheCollectorRefusesIsNotTriedAgain) {
  Batching b;
  b.offer(4);
  b.begin();
  b.end(ExportOutcome::kRefused);
  EXPECT_EQ(b.batcher.counts().refused, 4u);
  b.offer(4);
  b.begin();
  b.end(ExportOutcome::kSent, 1);  // took three
  b.offer(4);
  b.begin();
  b.end(ExportOutcome::kSent, 1000);  // a collector that cannot count
  EXPECT_EQ(b.batcher.counts().sent, 3u);
  EXPECT_EQ(b.batcher.counts().refused, 9u);
}

TEST(SpanBatcher, TheLastAttemptOfAFlushIsTheLast) {
  Batching b;
  b.offer(4);
  b.begin();
  b.end(ExportOutcome::kRetry, 0, /*last=*/true);
  EXPECT_EQ(b.batcher.counts().failed, 4u);
  EXPECT_FALSE(b.batcher.next_at());
}

}  // namespace
}  // namespace sis::telemetry
