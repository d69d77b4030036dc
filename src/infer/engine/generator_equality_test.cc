// A sequence's tokens depend on its request alone.
#include <deque>

#include "infer/engine/generator_fixture.h"

namespace sis::engine {
namespace {

// Requests of many lengths and ways to sample. Some begin alike.
GenerateRequest request_number(int number, int32_t tokens_max = 20) {
  Rng rng(static_cast<uint64_t>(number));
  Rng shared(static_cast<uint64_t>(number % 3));
  GenerateRequest request;
  request.prompt = random_prompt(shared, static_cast<size_t>(number % 4) * 20);
  const auto rest = random_prompt(rng, 1 + rng.below(150));
  request.prompt.insert(request.prompt.end(), rest.begin(), rest.end());
  request.tokens_max = tokens_max;
  request.sampling = {.temperature = number % 5 == 0 ? 0.0f : 1.0f,
                      .top_p = number % 2 ? 0.9f : 1.0f,
                      .top_k = number % 3 ? 0 : 20,
                      .presence_penalty = number % 7 == 0 ? 1.5f : 0.0f,
                      .repetition_penalty = number % 6 == 0 ? 1.3f : 1.0f,
                      .seed = static_cast<uint64_t>(number)};
  return request;
}

std::vector<int32_t> alone(GenerateRequest request) {
  LaneBench bench({.sequences_max = 1, .step_tokens_max = 1000});
  return bench.tokens(std::move(request));
}

std::vector<std::vector<int32_t>> all_alone(int count, int32_t tokens_max = 20) {
  std::vector<std::vector<int32_t>> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(alone(request_number(i, tokens_max)));
  return tokens;
}

// Greedy tokens are those of the arithmetic itself, so "equal" below does not mean equally wrong.
TEST(GeneratorEquality, GreedyFollowsTheModel) {
  const HashDecoder decoder;
  GenerateRequest request = request_number(0, 70);
  request.sampling = {.temperature = 0};
  auto tokens = request.prompt;
  for (int i = 0; i < 70; ++i) {
    const auto logits = decoder.logits_of(tokens);
    tokens.push_back(
        static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }
  tokens.erase(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(request.prompt.size()));
  EXPECT_EQ(alone(request), tokens);
}

// And drawn ones are the sampler's for this seed and number of the token.
TEST(GeneratorEquality, DrawsFollowTheSampler) {
  LaneBench bench;
  GenerateRequest request = request_number(2, 30);
  auto tokens = request.prompt;
  std::vector<int32_t> want;
  for (int32_t i = 0; i < 30; ++i) {
    const auto logits = bench.decoder.logits_of(tokens);
    SampleRow row{.logits = logits.data(),
                  .sampling = &request.sampling,
                  .seed = request.sampling.seed,
                  .position = i};
    sample_rows(bench.context, {&row, 1}, 100);
    tokens.push_back(row.token);
    want.push_back(row.token);
  }
  EXPECT_EQ(alone(request), want);
}

TEST(GeneratorEquality, InABatchOf17MixedLengths) {
  const auto want = all_alone(17);
  LaneBench bench({.sequences_max = 17, .step_tokens_max = 200});
  std::deque<Call> calls;
  for (int i = 0; i < 17; ++i) calls.push_back(bench.submit(request_number(i)));
  bench.run();
  for (size_t i = 0; i < 17; ++i) {
    EXPECT_EQ(calls[i].record->tokens[0], want[i]) << i;
    EXPECT_EQ(calls[i].record->finishes.at(0), Finish::kLength);
    EXPECT_EQ(calls[i].record->order, "ate");
  }
  bench.expect_nothing_held();
}

TEST(GeneratorEquality, InChunksOfAnySize) {
  const auto want = all_alone(4);
  for (const int32_t step : {1, 2, 5, 31, 32, 33, 64, 1000}) {
    LaneBench bench({.sequences_max = std::min(step, 3), .step_tokens_max = step});
    std::deque<Call> calls;
    for (int i = 0; i < 4; ++i) calls.push_back(bench.submit(request_number(i)));
    bench.run();
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(calls[i].record->tokens[0], want[i]) << step;
    EXPECT_LE(bench.decoder.rows_max, static_cast<size_t>(step));
  }
}

// Prompts that begin alike, at once and later, with and without a cache; the count is right.
TEST(GeneratorEquality, WithASharedBeginning) {
  Rng rng(77);
  const auto beginning = random_prompt(rng, 100);
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 6; ++i) {
    GenerateRequest request = request_number(i);
    request.prompt = beginning;
    request.prompt.resize(static_cast<size_t>(60 + 8 * i));
    request.prompt.push_back(i);
    requests.push_back(request);
  }
  requests.push_back(requests.back());  // the same again
  requests.back().prompt.resize(96);    // ends with a full block
  for (const bool keep : {true, false}) {
    LaneBench bench({.sequences_max = 3, .step_tokens_max = 50, .prefix_cache = keep});
    std::deque<Call> calls;
    for (int round = 0; round < 2; ++round)
      for (const auto& request : requests) calls.push_back(bench.submit(request));
    bench.run();
    for (size_t i = 0; i < calls.size(); ++i) {
      const auto& request = requests[i % requests.size()];
      EXPECT_EQ(calls[i].record->tokens[0], alone(request)) << i;
      if (i < requests.size()) continue;
      const auto full = static_cast<int32_t>((request.prompt.size() - 1) / 32 * 32);
      EXPECT_EQ(calls[i].record->end_stats->cached_tokens, keep ? full : 0);
      EXPECT_EQ(calls[i].record->admitted->cached_tokens, keep ? full : 0);
    }
    bench.expect_nothing_held();
  }
}

// What was generated is found by a prompt that continues it.
TEST(GeneratorEquality, ContinuesItsOwnAnswerFromTheCache) {
  LaneBench bench({.sequences_max = 2, .step_tokens_max = 64});
  GenerateRequest request = request_number(1, 60);
  request.prompt.resize(50);
  const auto answer = bench.tokens(request);
  request.prompt.insert(request.prompt.end(), answer.begin(), answer.end());
  const Call call = bench.submit(request);
  bench.run();
  EXPECT_EQ(call.record->end_stats->cached_tokens, 96);  // 110 tokens, the 110th was not computed
  EXPECT_EQ(call.record->tokens[0], alone(request));
}

TEST(GeneratorEquality, SaltsSeparate) {
  LaneBench bench({.sequences_max = 2, .step_tokens_max = 64});
  GenerateRequest request = request_number(3);
  request.prompt.resize(70);
  const auto want = alone(request);
  std::vector<int32_t> cached;
  for (const char* salt : {"", "a", "b", "a", ""}) {
    request.cache_salt = salt;
    const Call call = bench.submit(request);
    bench.run();
    EXPECT_EQ(call.record->tokens[0], want);
    cached.push_back(call.record->end_stats->cached_tokens);
  }
  EXPECT_EQ(cached, (std::vector<int32_t>{0, 0, 0, 64, 64}));
}

TEST(GeneratorEquality, AfterPreemption) {
  const auto want = all_alone(12, 100);
  for (const bool keep : {true, false}) {
    LaneBench bench(
        {.sequences_max = 6, .step_tokens_max = 64, .preemptions_max = 2, .prefix_cache = keep},
        /*blocks=*/13);
    std::deque<Call> calls;
    for (int i = 0; i < 12; ++i) calls.push_back(bench.submit(request_number(i, 100)));
    bench.run();
    int32_t preemptions = 0;
    for (size_t i = 0; i < 12; ++i) {
      EXPECT_EQ(calls[i].record->tokens[0], want[i]) << i;
      preemptions += calls[i].record->end_stats->preemptions;
    }
    EXPECT_GT(preemptions, 5);
    EXPECT_EQ(preemptions, bench.observer.preemptions);
    bench.expect_nothing_held();
  }
}

// Choice k draws as choice 0 with seed + k would; with places for all, for few, and under pressure.
TEST(GeneratorEquality, ChoicesAreRequestsWithOtherSeeds) {
  for (const size_t prompt_tokens : {40u, 64u}) {
    GenerateRequest request = request_number(6, 40);
    request.prompt.resize(prompt_tokens, 5);
    request.sampling.temperature = 1;
    std::vector<std::vector<int32_t>> want;
    for (int k = 0; k < 3; ++k) {
      GenerateRequest one = request;
      one.sampling.seed += static_cast<uint64_t>(k);
      want.push_back(alone(one));
    }
    EXPECT_NE(want[0], want[1]);
    request.choices = 3;
    for (const int32_t sequences : {1, 2, 5})
      for (const int32_t blocks : {8, 100}) {
        LaneBench bench({.sequences_max = sequences, .step_tokens_max = 16, .context_max = 200},
                        blocks);
        GenerateRequest other = request_number(8, 90);
        other.prompt.resize(20, 3);
        const Call company = bench.submit(other);
        const Call call = bench.submit(request);
        bench.run();
        for (int k = 0; k < 3; ++k) {
          EXPECT_EQ(call.record->tokens[k], want[static_cast<size_t>(k)]) << sequences << blocks;
          EXPECT_EQ(call.record->finishes.at(k), Finish::kLength);
        }
        EXPECT_TRUE(call.record->end_stats);
        EXPECT_EQ(company.record->tokens[0], alone(other));
        bench.expect_nothing_held();
      }
  }
}

// 1,000 requests, dropped at random steps: nothing is leaked, nothing is called afterwards, and
// those that run to their end are none the worse for it.
TEST(GeneratorEquality, NothingLeaksUnderRandomCancellation) {
  Rng rng(99);
  LaneBench bench({.sequences_max = 7,
                   .step_tokens_max = 96,
                   .queue_requests_max = 20,
                   .queue_wait_max = Duration{},
                   .context_max = 300},
                  /*blocks=*/22);
  struct Open {
    Call call;
    int number;
    int choices;
    int64_t drop_at;
  };
  std::deque<Open> open;
  int submitted = 0, dropped = 0, checked = 0;
  for (int64_t step = 0; submitted < 1000 || !open.empty(); ++step) {
    ASSERT_LT(step, 200000);
    if (submitted < 1000 && rng.below(3) == 0) {
      const int number = static_cast<int>(rng.below(40));
      GenerateRequest request = request_number(number, 30);
      request.choices = static_cast<int32_t>(1 + rng.below(10) / 7);
      request.prompt_logprobs = rng.below(8) == 0;
      const int choices = request.choices;
      if (auto call = bench.try_submit(std::move(request)); call.ok()) {
        const bool drops = rng.below(2) == 0;
        open.push_back({std::move(*call), number, choices,
                        drops ? step + static_cast<int64_t>(rng.below(60)) : INT64_MAX});
        ++submitted;
      } else {
        EXPECT_EQ(call.error().code, Code::kOverloaded);
      }
    }
    for (auto it = open.begin(); it != open.end();) {
      Record& record = *it->call.record;
      if (record.ended) {
        ASSERT_TRUE(record.end_stats) << record.error->message;
        if (submitted % 10 == 0) {
          EXPECT_EQ(record.tokens[0], alone(request_number(it->number, 30)));
          ++checked;
        }
        EXPECT_EQ(record.finishes.size(), static_cast<size_t>(it->choices));
        it = open.erase(it);
      } else if (it->drop_at <= step) {
        it->call.drop();
        ++dropped;
        it = open.erase(it);
      } else {
        ++it;
      }
    }
    if (bench.ready()) bench.step();
  }
  bench.run();
  EXPECT_GT(dropped, 200);
  EXPECT_GT(checked, 20);
  EXPECT_GT(bench.observer.preemptions, 10);
  bench.expect_nothing_held();
}

}  // namespace
}  // namespace sis::engine
