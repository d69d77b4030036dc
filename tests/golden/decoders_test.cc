// Every tiny checkpoint in tests/golden/decoders gives the logits and the greedy tokens
// transformers gave in f32 (made by tools/golden/make_decoders.py), with every dtype and every
// instruction set this machine can run; and the same bits alone, in company, in chunks and in
// whatever blocks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "base/strings.h"
#include "golden_parts.h"
#include "infer/models/registry.h"
#include "infer/weights/json_file.h"
#include "infer/weights/source.h"

namespace sis {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;
using Rows = std::vector<std::vector<float>>;
using kernels::kKvBlockTokens;

std::string root() { return "tests/golden/decoders"; }

// A decoder with a cache of its own, whose blocks lie in no order.
class Runner {
 public:
  Runner(const nn::Decoder& decoder, Isa isa, int workers, int32_t blocks)
      : decoder_(decoder),
        team_({.workers = workers, .pin = false}),
        context_{team_, workspace_, isa},
        cache_(static_cast<size_t>(blocks * decoder.kv_layout().block_bytes())) {
    Rng rng{7};
    for (int32_t i = 0; i < blocks; ++i) free_.push_back(i);
    for (int32_t i = blocks - 1; i > 0; --i)
      std::swap(free_[i], free_[static_cast<size_t>(rng.below(i + 1))]);
  }

  struct Sequence {
    std::vector<int32_t> blocks;
    int32_t past = 0;
  };

  // One step: `news` by sequence; logits of every row.
  std::vector<Rows> step(const std::vector<Sequence*>& sequences, const std::vector<Ids>& news) {
    Ids flat, wanted;
    std::vector<ops::KvRows> rows;
    for (size_t s = 0; s < sequences.size(); ++s) {
      Sequence& sequence = *sequences[s];
      const auto tokens = static_cast<int32_t>(news[s].size());
      while (static_cast<int32_t>(sequence.blocks.size()) * kKvBlockTokens <
             sequence.past + tokens) {
        sequence.blocks.push_back(free_.back());
        free_.pop_back();
      }
      rows.push_back({.blocks = sequence.blocks.data(),
                      .past = sequence.past,
                      .tokens = tokens,
                      .row = static_cast<int32_t>(flat.size())});
      flat.insert(flat.end(), news[s].begin(), news[s].end());
      sequence.past += tokens;
    }
    for (size_t i = 0; i < flat.size(); ++i) wanted.push_back(static_cast<int32_t>(i));
    workspace_.reset();
    const int64_t vocab = decoder_.info().vocab;
    Mat<float> logits = workspace_.take_mat<float>(static_cast<int64_t>(flat.size()), vocab);
    decoder_.forward(context_, {.ids = flat, .sequences = rows, .logit_rows = wanted},
                     {cache_.data(), decoder_.kv_layout()}, logits);
    std::vector<Rows> out(sequences.size());
    for (size_t s = 0; s < sequences.size(); ++s)
      for (int32_t t = 0; t < rows[s].tokens; ++t)
        out[s].emplace_back(logits.row(rows[s].row + t), logits.row(rows[s].row + t) + vocab);
    return out;
  }

  // A sequence from nothing in chunks of at most `chunk`.
  Rows run(const Ids& ids, int32_t chunk) {
    Sequence sequence;
    Rows out;
    for (size_t at = 0; at < ids.size(); at += chunk) {
      const size_t end = std::min(ids.size(), at + static_cast<size_t>(chunk));
      auto part = step({&sequence}, {Ids(ids.begin() + at, ids.begin() + end)});
      out.insert(out.end(), part[0].begin(), part[0].end());
    }
    free_.insert(free_.end(), sequence.blocks.begin(), sequence.blocks.end());
    return out;
  }

  Ids greedy(const Ids& prompt, size_t count) {
    Sequence sequence;
    Ids tokens, next = prompt;
    while (tokens.size() < count) {
      const auto row = step({&sequence}, {next})[0].back();
      tokens.push_back(
          static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
      next = {tokens.back()};
    }
    free_.insert(free_.end(), sequence.blocks.begin(), sequence.blocks.end());
    return tokens;
  }

 private:
  const nn::Decoder& decoder_;
  ThreadTeam team_;
  Workspace workspace_;
  ops::Context context_;
  Buffer cache_;
  std::vector<int32_t> free_;
};

struct Level {
  const char* name;
  DType compute, kv;
  double error_max;  // of the logits' range; f32: absolute
};
constexpr Level kLevels[] = {{"f32", DType::kF32, DType::kF32, 1e-3},
                             {"bf16", DType::kBf16, DType::kBf16, 2e-2},
                             {"bf16, int8 cache", DType::kBf16, DType::kI8, 3e-2},
                             // Random weights as narrow as these lose far more than trained ones.
                             {"int8", DType::kI8, DType::kBf16, 0.1},
                             {"int4", DType::kI4, DType::kI8, 0.5}};

class Decoders : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string folder = root() + "/" + GetParam();
    auto expected = weights::read_json_file(folder + "/expected.json");
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    expected_ = *expected;
    auto logits = weights::WeightSource::open_file(folder + "/expected.safetensors");
    ASSERT_TRUE(logits.ok()) << logits.error().message;
    logits_ = std::move(*logits);
  }
  std::unique_ptr<nn::Decoder> load(const Level& level, Isa isa) {
    ThreadTeam team({.workers = 2, .pin = false});
    auto decoder = models::load_decoder(
        root() + "/" + GetParam(), {.compute = level.compute, .kv = level.kv, .isa = isa}, team);
    if (!decoder.ok()) {
      ADD_FAILURE() << decoder.error().message;
      return nullptr;
    }
    return std::move(*decoder);
  }

  nlohmann::json expected_;
  std::unique_ptr<weights::WeightSource> logits_;
};

TEST_P(Decoders, GiveTheLogitsOfTransformers) {
  for (const auto& level : kLevels) {
    double worst = 0;
    for (const Isa isa : levels()) {
      const auto decoder = load(level, isa);
      ASSERT_TRUE(decoder);
      Runner runner(*decoder, isa, 2, 16);
      for (const auto& test : expected_["cases"]) {
        const auto ids = test["ids"].get<Ids>();
        const auto name = test["name"].get<std::string>();
        const auto want =
            logits_->matrix(name, static_cast<int64_t>(ids.size()), decoder->info().vocab);
        ASSERT_TRUE(want.ok()) << want.error().message;
        const Rows got = runner.run(ids, 1000);
        for (size_t t = 0; t < ids.size(); ++t) {
          std::vector<float> row(decoder->info().vocab);
          want->row_to(static_cast<int64_t>(t), row.data());
          const auto [low, high] = std::minmax_element(row.begin(), row.end());
          const double unit = level.compute == DType::kF32 ? 1 : *high - *low;
          double error = 0;
          for (size_t i = 0; i < row.size(); ++i)
            error = std::max(error, std::abs(double(got[t][i]) - row[i]) / unit);
          EXPECT_LE(error, level.error_max)
              << name << " row " << t << " " << level.name << " " << isa_name(isa);
          worst = std::max(worst, error);
        }
      }
    }
    std::printf("  %s %s: largest error %.2e\n", GetParam().c_str(), level.name, worst);
  }
}

TEST_P(Decoders, GreedyTokensAreThoseOfTransformers) {
  const auto prompt = expected_["greedy"]["prompt"].get<Ids>();
  const auto want = expected_["greedy"]["tokens"].get<Ids>();
  for (const Isa isa : levels()) {
    const auto decoder = load(kLevels[0], isa);
    ASSERT_TRUE(decoder);
    Runner runner(*decoder, isa, 2, 8);
    EXPECT_EQ(runner.greedy(prompt, want.size()), want) << isa_name(isa);
  }
}

// A row's logits do not depend on how its prompt was cut, on its blocks, its company or the number
// of workers.
TEST_P(Decoders, RowsAreTheSameBitsAlwaysAndEverywhere) {
  Rng rng{11};
  for (const auto& level : kLevels) {
    for (const Isa isa : levels()) {
      const auto decoder = load(level, isa);
      ASSERT_TRUE(decoder);
      std::vector<Ids> prompts(17);
      for (size_t i = 0; i < prompts.size(); ++i)
        for (size_t t = 0; t < 1 + i * 5; ++t)
          prompts[i].push_back(static_cast<int32_t>(rng.below(decoder->info().vocab)));
      Runner one(*decoder, isa, 1, 80), two(*decoder, isa, 2, 80);
      std::vector<Runner::Sequence> sequences(prompts.size());
      std::vector<Runner::Sequence*> all;
      for (auto& sequence : sequences) all.push_back(&sequence);
      const auto together = two.step(all, prompts);
      for (const size_t i : {0, 3, 7, 16}) {
        const Rows alone = one.run(prompts[i], 1000);
        EXPECT_EQ(alone, together[i]) << "company, " << level.name << " " << isa_name(isa);
        for (const int32_t chunk : {1, 7, 32, 45})
          EXPECT_EQ(one.run(prompts[i], chunk), alone)
              << "chunks of " << chunk << ", " << level.name << " " << isa_name(isa);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Decoders, testing::ValuesIn(checkpoints_in(root())),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

}  // namespace
}  // namespace sis
