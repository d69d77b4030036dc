#include "infer/engine/scheduler.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <numeric>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::engine {
namespace {

constexpr kernels::KvLayout kLayout{
    .layers = 1, .kv_heads = 1, .head_dim = 32, .dtype = DType::kBf16};

// A scheduler with a model that always samples token 7.
struct Bench {
  Bench(int32_t blocks, SchedulerOptions options, bool keep = true)
      : pool(kLayout, blocks), cache(pool, keep), scheduler(options, cache) {}

  // `first`: token of position 0, the others follow; equal first tokens are equal prompts.
  Sequence& submit(int32_t prompt_tokens, int32_t first = 0, int32_t generate = 1000) {
    Sequence& s = sequences.emplace_back();
    s.order = sequences.size();
    s.submitted = now;
    s.prompt_tokens = prompt_tokens;
    s.tokens.resize(static_cast<size_t>(prompt_tokens));
    std::iota(s.tokens.begin(), s.tokens.end(), first);
    limits.push_back(prompt_tokens + generate);
    scheduler.add(s);
    return s;
  }
  const StepPlan& step() {
    scheduler.plan(now, plan);
    for (Sequence* s : plan.admitted) admitted.push_back(s->order);
    scheduler.commit(plan);
    for (const StepPart& part : plan.parts) {
      EXPECT_EQ(part.past + part.tokens, part.sequence->computed);
      EXPECT_GE(static_cast<int32_t>(part.sequence->blocks.size()),
                blocks_for(part.sequence->computed));
      if (!part.sample) continue;
      Sequence& s = *part.sequence;
      s.tokens.push_back(7);
      if (static_cast<int32_t>(s.tokens.size()) >= limits[s.order - 1]) {
        scheduler.remove(s);
        finished.push_back(s.order);
      }
    }
    return plan;
  }
  // "order:past+tokens" of every part.
  std::string text() const {
    std::string text;
    for (const StepPart& p : plan.parts)
      text += concat(text.empty() ? "" : " ", p.sequence->order, ":", p.past, "+", p.tokens);
    return text;
  }
  int32_t blocks_used() const { return pool.blocks() - pool.blocks_free() - cache.blocks_cached(); }

  KvPool pool;
  PrefixCache cache;
  Scheduler scheduler;
  std::deque<Sequence> sequences;
  std::vector<int32_t> limits;
  std::vector<uint64_t> admitted, finished;
  StepPlan plan;
  TimePoint now{std::chrono::hours(1)};
};

// A long prompt takes what decoding leaves of the budget, in order of arrival, and stops nobody.
TEST(Scheduler, DecodeRowsFirstThenPrefillsInOrder) {
  Bench b(100, {.sequences_max = 4, .step_tokens_max = 50});
  b.submit(10, 0);
  b.step();
  EXPECT_EQ(b.text(), "1:0+10");
  b.submit(100, 1000);
  b.submit(20, 2000);
  b.step();
  EXPECT_EQ(b.text(), "1:10+1 2:0+49");
  EXPECT_EQ(b.plan.decode_rows, 1);
  EXPECT_EQ(b.plan.prefill_tokens, 49);
  b.step();
  EXPECT_EQ(b.text(), "1:11+1 2:49+49");
  b.step();
  EXPECT_EQ(b.text(), "1:12+1 2:98+2 3:0+20");
  EXPECT_TRUE(b.plan.parts[1].sample);
  b.step();
  EXPECT_EQ(b.text(), "1:13+1 2:100+1 3:20+1");
  EXPECT_EQ(b.admitted, (std::vector<uint64_t>{1, 2, 3}));
}

TEST(Scheduler, RunsAtMostSequencesMax) {
  Bench b(100, {.sequences_max = 2, .step_tokens_max = 50});
  for (int i = 0; i < 3; ++i) b.submit(5, 1000 * i, 3);
  b.step();
  EXPECT_EQ(b.text(), "1:0+5 2:0+5");
  b.step(), b.step();
  EXPECT_EQ(b.finished, (std::vector<uint64_t>{1, 2}));
  b.step();
  EXPECT_EQ(b.text(), "3:0+5");
}

TEST(Scheduler, EndsTheWaitOfThoseNotAdmittedInTime) {
  Bench b(100, {.sequences_max = 1, .step_tokens_max = 50, .queue_wait_max = from_seconds(2)});
  b.submit(5), b.submit(5), b.submit(5);
  b.step();
  b.now += from_seconds(2);
  b.sequences[2].submitted = b.now;
  EXPECT_TRUE(b.step().expired.empty());
  b.now += from_ms(1);
  ASSERT_EQ(b.step().expired.size(), 1u);
  EXPECT_EQ(b.plan.expired[0]->order, 2u);
  EXPECT_EQ(b.scheduler.waiting(), 1);
  EXPECT_EQ(b.scheduler.running(), 1);  // who was admitted has no such limit
}

TEST(Scheduler, WaitsForCompanyOnlyWhenIdle) {
  Bench b(100, {.sequences_max = 2,
                .step_tokens_max = 50,
                .queue_wait_max = from_seconds(2),
                .idle_window = from_ms(10)});
  EXPECT_FALSE(b.scheduler.ready_at(b.now));
  b.submit(5, 0, 3);
  EXPECT_EQ(b.scheduler.ready_at(b.now), b.now + from_ms(10));
  EXPECT_TRUE(b.step().parts.empty());
  b.now += from_ms(10);
  EXPECT_EQ(b.scheduler.ready_at(b.now), b.now);
  b.step();
  EXPECT_EQ(b.text(), "1:0+5");
  b.submit(5, 100, 1);  // something runs: no wait
  EXPECT_EQ(b.scheduler.ready_at(b.now), b.now);
  b.step();
  EXPECT_EQ(b.text(), "1:5+1 2:0+5");
  b.step();
  EXPECT_EQ(b.finished.size(), 2u);
  b.submit(5), b.submit(5);  // the company is complete
  EXPECT_EQ(b.scheduler.ready_at(b.now), b.now);
}

// A window longer than the wait allowed must not refuse everyone.
TEST(Scheduler, IdleWindowEndsBeforeTheWaitDoes) {
  Bench b(100, {.sequences_max = 2,
                .step_tokens_max = 50,
                .queue_wait_max = from_ms(4),
                .idle_window = from_seconds(1)});
  b.submit(5);
  EXPECT_EQ(b.scheduler.ready_at(b.now), b.now + from_ms(2));
}

// Full blocks are found by a later prompt, but only once computed, and never the last token's.
TEST(Scheduler, SharesFullBlocksAfterTheStepThatWroteThem) {
  Bench b(100, {.sequences_max = 4, .step_tokens_max = 200});
  b.submit(70), b.submit(70);
  b.step();
  EXPECT_EQ(b.text(), "1:0+70 2:0+70");  // both compute: nothing was there to share
  EXPECT_EQ(b.sequences[0].blocks[1], b.sequences[1].blocks[1]);  // and share from then on
  EXPECT_NE(b.sequences[0].blocks[2], b.sequences[1].blocks[2]);
  EXPECT_EQ(b.blocks_used(), 4);
  b.submit(70), b.submit(64), b.submit(65);
  b.step();
  EXPECT_EQ(b.text(), "1:70+1 2:70+1 3:64+6 4:32+32");
  EXPECT_EQ(b.sequences[2].cached, 64);
  EXPECT_EQ(b.sequences[3].cached, 32);
  for (Sequence& s : b.sequences) b.scheduler.remove(s);
  EXPECT_EQ(b.blocks_used(), 0);
  EXPECT_EQ(b.cache.blocks_cached(), 2);
}

TEST(Scheduler, SaltsSeparate) {
  Bench b(100, {.sequences_max = 4, .step_tokens_max = 500});
  b.submit(70), b.step();
  b.submit(70).salt = "other";
  b.submit(70);
  b.step();
  EXPECT_EQ(b.sequences[1].cached, 0);
  EXPECT_EQ(b.sequences[2].cached, 64);
}

// Admission leaves a reserve beside others, and the line waits behind its first.
TEST(Scheduler, AdmitsInOrderWhenBlocksAreFree) {
  Bench b(10, {.sequences_max = 4, .step_tokens_max = 500}, /*keep=*/false);
  b.submit(6 * 32 - 8, 0, 6);
  b.step();
  b.submit(4 * 32, 1000);  // 4 are free, but one is kept in reserve
  b.submit(1, 2000);       // would fit
  b.step();
  EXPECT_EQ(b.text(), "1:184+1");
  for (int i = 0; i < 4; ++i) b.step();
  EXPECT_EQ(b.finished.size(), 1u);
  b.step();
  EXPECT_EQ(b.text(), "2:0+128 3:0+1");
}

TEST(Scheduler, PreemptsTheYoungestAndResumesIt) {
  Bench b(5, {.sequences_max = 3, .step_tokens_max = 200, .preemptions_max = 1}, /*keep=*/false);
  b.submit(32 + 30, 0, 100), b.submit(20, 1000, 4), b.submit(10, 2000, 6);
  b.step();
  EXPECT_EQ(b.text(), "1:0+62 2:0+20 3:0+10");
  EXPECT_EQ(b.pool.blocks_free(), 1);
  const int32_t hog = b.cache.take();
  b.step(), b.step();
  EXPECT_EQ(b.step().preempted.size(), 1u);  // 1 needs its third block
  EXPECT_EQ(b.plan.preempted[0]->order, 3u);
  EXPECT_EQ(b.text(), "1:64+1 2:22+1");
  EXPECT_EQ(b.sequences[2].blocks.size(), 0u);
  EXPECT_EQ(b.sequences[2].preemptions, 1);
  b.cache.release(hog);
  b.submit(1, 3000);
  // The one block left is the reserve; when 2 ends, 3 comes back first and computes all its tokens.
  EXPECT_EQ(b.finished, (std::vector<uint64_t>{2}));
  b.step();
  EXPECT_EQ(b.text(), "1:65+1 3:0+13");
  EXPECT_TRUE(b.plan.admitted.empty());  // counted once
}

TEST(Scheduler, SparesWhoWasPreemptedOftenEnough) {
  Bench b(5, {.sequences_max = 3, .step_tokens_max = 200, .preemptions_max = 2}, /*keep=*/false);
  b.submit(62), b.submit(20, 1000), b.submit(10, 2000);
  b.step();
  b.cache.take();
  b.sequences[2].preemptions = 2;
  b.step(), b.step(), b.step();
  ASSERT_EQ(b.plan.preempted.size(), 1u);
  EXPECT_EQ(b.plan.preempted[0]->order, 2u);
  // When all had their share the youngest goes again.
  b.sequences[0].preemptions = b.sequences[1].preemptions = 2;
  for (int i = 0; b.plan.preempted.empty() || b.plan.preempted[0]->order == 2; ++i) {
    ASSERT_LT(i, 40);
    b.step();
  }
  EXPECT_EQ(b.plan.preempted[0]->order, 3u);
}

// An older one gives way where the younger ones are spared; nobody who needs a block is passed
// over.
TEST(Scheduler, TakesFromAnOlderOneWhenTheYoungerAreSpared) {
  Bench b(5, {.sequences_max = 3, .step_tokens_max = 200, .preemptions_max = 1}, /*keep=*/false);
  b.submit(40), b.submit(31, 1000), b.submit(31, 2000);
  b.step();
  b.sequences[1].preemptions = b.sequences[2].preemptions = 1;
  b.cache.take();
  b.step();  // 2 and 3 fill their block
  b.step();  // and both need another
  ASSERT_EQ(b.plan.preempted.size(), 1u);
  EXPECT_EQ(b.plan.preempted[0]->order, 1u);
  EXPECT_EQ(b.text(), "2:32+1 3:32+1");
  EXPECT_EQ(b.sequences[1].blocks.size(), 2u);
  EXPECT_EQ(b.sequences[2].blocks.size(), 2u);
}

// Hundreds of sequences through a cache that holds hardly two of them: all finish, the memory comes
// back, and who comes first is served first.
TEST(Scheduler, NobodyStarvesUnderConstantPreemption) {
  for (const bool keep : {false, true}) {
    for (const int32_t preemptions_max : {0, 2}) {
      Bench b(8, {.sequences_max = 6, .step_tokens_max = 64, .preemptions_max = preemptions_max},
              keep);
      Rng rng(5);
      for (int i = 0; i < 200; ++i) {
        const auto prompt = static_cast<int32_t>(1 + rng.below(100));
        b.submit(prompt, static_cast<int32_t>(rng.below(4)) * 1000,
                 static_cast<int32_t>(1 + rng.below(120)));
      }
      int64_t steps = 0, preemptions = 0;
      while (b.finished.size() < 200) {
        ASSERT_LT(++steps, 100000);
        preemptions += static_cast<int64_t>(b.step().preempted.size());
        ASSERT_FALSE(b.plan.parts.empty());
        int32_t rows = 0;
        for (const StepPart& part : b.plan.parts) rows += part.tokens;
        ASSERT_LE(rows, 64);
      }
      EXPECT_GT(preemptions, 20);
      EXPECT_TRUE(std::is_sorted(b.admitted.begin(), b.admitted.end()));
      EXPECT_EQ(b.blocks_used(), 0);
      // Nobody ends more than the running set later than its place in the line.
      for (size_t i = 0; i < 200; ++i)
        EXPECT_LE(std::abs(static_cast<int64_t>(b.finished[i]) - static_cast<int64_t>(i)), 60);
    }
  }
}

TEST(Scheduler, ForksShareFullBlocksAndCopyThePartialOne) {
  Bench b(10, {.sequences_max = 3, .step_tokens_max = 200});
  Sequence& from = b.submit(40);
  b.scheduler.plan(b.now, b.plan);
  b.scheduler.commit(b.plan);
  b.pool.view().data[from.blocks[1] * kLayout.block_bytes()] = std::byte{42};
  std::deque<Sequence> to(3);
  for (size_t i = 0; i < 3; ++i) {
    to[i].order = 10 + i;
    to[i].prompt_tokens = 40;
    to[i].tokens = from.tokens;
    to[i].tokens.push_back(static_cast<int32_t>(i));
    b.scheduler.fork(from, to[i]);
  }
  from.tokens.push_back(9);
  EXPECT_EQ(b.scheduler.running(), 3);
  EXPECT_EQ(to[2].state, Sequence::State::kWaiting);  // no place
  EXPECT_EQ(to[0].blocks[0], from.blocks[0]);
  EXPECT_NE(to[0].blocks[1], from.blocks[1]);
  EXPECT_NE(to[0].blocks[1], to[1].blocks[1]);
  EXPECT_EQ(b.pool.view().data[to[1].blocks[1] * kLayout.block_bytes()], std::byte{42});
  b.scheduler.plan(b.now, b.plan);
  EXPECT_EQ(b.text(), "1:40+1 10:40+1 11:40+1");
  b.scheduler.commit(b.plan);
  for (const StepPart& part : b.plan.parts) part.sequence->tokens.push_back(1);
  b.scheduler.remove(from);
  b.scheduler.plan(b.now, b.plan);
  EXPECT_EQ(b.text(), "10:41+1 11:41+1 12:32+9");
  EXPECT_TRUE(b.plan.admitted.empty());
  for (Sequence& s : to) b.scheduler.remove(s);
  EXPECT_EQ(b.blocks_used(), 0);
}

// Rows of prompt logits are few per step, come in order and none is missing, also after preemption.
TEST(Scheduler, ScoresPromptsInBoundedChunks) {
  Bench b(20, {.sequences_max = 3, .step_tokens_max = 500, .scored_rows_max = 16});
  b.submit(100, 0, 3), b.step();
  Sequence& s = b.submit(100, 0, 3);  // its beginning is known, but not the logits of it
  s.scored = 0;
  int32_t next = 0;
  for (int i = 0; i < 7; ++i) {
    const StepPart part = b.step().parts.back();
    ASSERT_EQ(part.sequence, &s);
    EXPECT_EQ(part.scored_begin, next);
    EXPECT_LE(part.scored_end - part.scored_begin, 16);
    next = part.scored_end;
    EXPECT_EQ(part.sample, i == 6);
  }
  EXPECT_EQ(next, 99);
  EXPECT_EQ(s.cached, 0);
  // Once scored, the known blocks serve.
  Sequence& again = b.submit(100, 0, 3);
  again.scored = 70;
  const StepPart part = b.step().parts.back();
  EXPECT_EQ(part.past, 64);
  EXPECT_EQ(part.scored_begin, 70);
  EXPECT_EQ(part.scored_end, 86);
  EXPECT_EQ(part.tokens, 22);
}

TEST(Scheduler, RemovesFromAnywhere) {
  Bench b(10, {.sequences_max = 1, .step_tokens_max = 16});
  Sequence& running = b.submit(40);
  Sequence& waiting = b.submit(40);
  b.step();
  b.scheduler.remove(waiting);
  b.scheduler.remove(running);
  b.scheduler.remove(running);
  EXPECT_EQ(b.scheduler.waiting() + b.scheduler.running(), 0);
  EXPECT_EQ(b.pool.blocks_free(), 10);
  EXPECT_FALSE(b.scheduler.ready_at(b.now));
}

}  // namespace
}  // namespace sis::engine
