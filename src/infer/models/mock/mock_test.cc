#include "infer/models/mock/mock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "infer/models/mock/pace.h"

namespace sis::models {
namespace {

struct Bench {
  ThreadTeam team{{.workers = 1}};
  Workspace workspace;
  ops::Context context{team, workspace, Isa::kRef};
};

// Runs one sequence through the decoder in chunks and returns the most likely token behind each.
class Runner {
 public:
  explicit Runner(const nn::Decoder& decoder)
      : decoder_(decoder),
        cache_(static_cast<size_t>(decoder.kv_layout().block_bytes() * 64)),
        logits_(static_cast<size_t>(decoder.info().vocab)) {
    for (int32_t i = 0; i < 64; ++i) blocks_.push_back(63 - i);
  }
  int32_t push(std::vector<int32_t> ids) {
    const ops::KvRows rows[] = {{.blocks = blocks_.data(),
                                 .past = past_,
                                 .tokens = static_cast<int32_t>(ids.size()),
                                 .row = 0}};
    const int32_t wanted[] = {static_cast<int32_t>(ids.size()) - 1};
    const Mat<float> logits{logits_.data(), 1, decoder_.info().vocab, decoder_.info().vocab};
    decoder_.forward(bench_.context, {.ids = ids, .sequences = rows, .logit_rows = wanted},
                     {cache_.data(), decoder_.kv_layout()}, logits);
    past_ += static_cast<int32_t>(ids.size());
    return static_cast<int32_t>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
  }

 private:
  Bench bench_;
  const nn::Decoder& decoder_;
  Buffer cache_;
  std::vector<int32_t> blocks_;
  std::vector<float> logits_;
  int32_t past_ = 0;
};

std::vector<int32_t> answer(const nn::Decoder& decoder, const std::vector<int32_t>& prompt,
                            size_t chunk) {
  Runner runner(decoder);
  int32_t next = 0;
  for (size_t at = 0; at < prompt.size(); at += chunk)
    next =
        runner.push({prompt.begin() + static_cast<int64_t>(at),
                     prompt.begin() + static_cast<int64_t>(std::min(prompt.size(), at + chunk))});
  std::vector<int32_t> tokens;
  const MockVocabulary words;
  while (tokens.size() < 200) {
    if (next == words.end()) break;
    tokens.push_back(next);
    next = runner.push({next});
  }
  return tokens;
}

TEST(MockDecoder, AnswersByItsInputAloneAndEnds) {
  const MockVocabulary words;
  const auto decoder = make_mock_decoder({});
  std::vector<int32_t> prompt(100);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(i * 7 % 250);
  prompt.push_back(words.assistant());
  const auto whole = answer(*decoder, prompt, 1000);
  EXPECT_EQ(whole.size() % MockVocabulary::kSentenceTokens, 0u);
  EXPECT_GE(whole.size(), 2 * MockVocabulary::kSentenceTokens);
  EXPECT_LE(whole.size(), 7 * MockVocabulary::kSentenceTokens);
  EXPECT_EQ(whole.back(), words.byte('.'));
  for (const size_t chunk : {1u, 7u, 32u, 33u}) EXPECT_EQ(answer(*decoder, prompt, chunk), whole);
  prompt[3] ^= 1;
  EXPECT_NE(answer(*decoder, prompt, 1000), whole) << "every token of the prompt counts";
}

TEST(MockDecoder, PrefersTheShortestUnderAGrammar) {
  const MockVocabulary words;
  const auto decoder = make_mock_decoder({});
  const auto& vocab = decoder->info().vocab;
  Bench bench;
  Buffer cache(static_cast<size_t>(decoder->kv_layout().block_bytes()));
  std::vector<float> logits(static_cast<size_t>(vocab));
  const int32_t ids[] = {words.assistant()}, blocks[] = {0}, wanted[] = {0};
  const ops::KvRows rows[] = {{.blocks = blocks, .past = 0, .tokens = 1, .row = 0}};
  decoder->forward(bench.context, {.ids = ids, .sequences = rows, .logit_rows = wanted},
                   {cache.data(), decoder->kv_layout()}, {logits.data(), 1, vocab, vocab});
  const auto logit = [&](char c) {
    return logits[static_cast<size_t>(words.byte(static_cast<unsigned char>(c)))];
  };
  EXPECT_GT(logits[static_cast<size_t>(words.end())], logit('}'));
  EXPECT_GT(logit('}'), logit('"'));
  EXPECT_GT(logit('"'), logit('0'));
  EXPECT_GT(logit('0'), logit('7'));
}

TEST(MockEncoder, SameTextSameStatesAloneAndInCompany) {
  const auto encoder = make_mock_encoder({});
  Bench bench;
  const auto states = [&](std::vector<int32_t> ids, std::vector<int32_t> offsets) {
    const auto rows = static_cast<int64_t>(ids.size());
    std::vector<float> out(ids.size() * kMockHidden);
    encoder->forward(bench.context, {.ids = ids, .offsets = offsets},
                     {out.data(), rows, kMockHidden, kMockHidden});
    return out;
  };
  const auto alone = states({5, 9, 5}, {0, 3}), together = states({1, 5, 9, 5, 2}, {0, 1, 4, 5});
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + kMockHidden));
  EXPECT_NE(states({9, 5, 5}, {0, 3}), alone) << "order counts";
}

// Times are kept and, with the processor free, hardly exceeded; waiting does not burn it.
TEST(MockPace, WaitsAsleep) {
  MockPace pace({});
  const auto cpu = [] {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  };
  const auto begin = std::chrono::steady_clock::now();
  const auto cpu_before = cpu();
  for (int i = 0; i < 10; ++i) pace.finish(std::chrono::steady_clock::now(), 5000);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(50));
  EXPECT_LT(cpu() - cpu_before, std::chrono::milliseconds(10));
  // Time that has passed already counts.
  const auto now = std::chrono::steady_clock::now();
  pace.finish(now - std::chrono::seconds(1), 900000);
  EXPECT_LT(std::chrono::steady_clock::now() - now, std::chrono::milliseconds(500));
}

TEST(MockPace, FailsAtItsRateBySeed) {
  const auto failures = [](double rate, double seed) {
    MockPace pace({.failure_rate = rate, .seed = seed});
    std::vector<int> failed;
    for (int i = 0; i < 1000; ++i) {
      try {
        pace.finish({}, 0);
      } catch (const std::runtime_error&) {
        failed.push_back(i);
      }
    }
    return failed;
  };
  EXPECT_TRUE(failures(0, 1).empty());
  EXPECT_EQ(failures(1, 1).size(), 1000u);
  const auto some = failures(0.1, 1);
  EXPECT_NEAR(static_cast<double>(some.size()), 100, 40);
  EXPECT_EQ(failures(0.1, 1), some);
  EXPECT_NE(failures(0.1, 2), some);
}

}  // namespace
}  // namespace sis::models
