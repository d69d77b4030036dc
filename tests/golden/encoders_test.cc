// Every tiny checkpoint in tests/golden/encoders gives the vectors transformers gave in f32 (made
// by tools/golden/make_encoders.py), with every dtype and every instruction set this machine can
// run; a text alone and in a batch give the same bits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "golden_parts.h"
#include "infer/weights/json_file.h"
#include "infer/weights/source.h"
#include "serve/server/embed_loader.h"

namespace sis {
namespace {

namespace fs = std::filesystem;

std::string root() { return "tests/golden/encoders"; }

double cosine(const float* a, const float* b, int64_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < n; ++i)
    ab += double(a[i]) * b[i], aa += double(a[i]) * a[i], bb += double(b[i]) * b[i];
  return ab / std::sqrt(aa * bb);
}

struct Level {
  const char* dtype;
  double cosine_min;
};
constexpr Level kLevels[] = {{"f32", 0.99999}, {"bf16", 0.9999}, {"int8", 0.995}};

class Encoders : public testing::TestWithParam<std::string> {};

// Runs the sequences as one batch; rows of the result.
std::vector<std::vector<float>> run(const tasks::EmbedModel& model,
                                    engine::DeviceExecutor& executor,
                                    const std::vector<std::vector<int32_t>>& sequences) {
  std::vector<int32_t> ids, offsets{0};
  for (const auto& sequence : sequences) {
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    offsets.push_back(static_cast<int32_t>(ids.size()));
  }
  std::vector<std::vector<float>> rows;
  executor.call([&](ops::Context& context) {
    const auto out = tasks::embed_batch(model, context, {.ids = ids, .offsets = offsets});
    for (int64_t r = 0; r < out.rows; ++r) rows.emplace_back(out.row(r), out.row(r) + out.cols);
  });
  return rows;
}

TEST_P(Encoders, MatchTransformers) {
  const std::string folder = root() + "/" + GetParam();
  const auto expected = weights::read_json_file(folder + "/expected.json");
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  const auto vectors = weights::WeightSource::open_file(folder + "/expected.safetensors");
  ASSERT_TRUE(vectors.ok()) << vectors.error().message;
  SteadyClock clock;
  for (const auto& level : kLevels) {
    double worst = 1;
    for (const Isa isa : levels()) {
      engine::DeviceExecutor executor({.threads = 2, .isa = isa}, clock);
      auto model = server::load_embed_model(
          {.name = GetParam(), .folder = folder, .dtype = level.dtype}, executor);
      ASSERT_TRUE(model.ok()) << model.error().message;
      EXPECT_EQ(model->tokens_max, (*expected)["tokens_max"].get<int32_t>());
      int checked = 0;
      for (const auto& test : (*expected)["cases"]) {
        const auto name = test["name"].get<std::string>();
        std::vector<std::vector<int32_t>> sequences;
        if (test.contains("texts")) {
          // A case may name a prompt of the checkpoint; without one the default prompt is put
          // before the text.
          std::string prompt = model->prompt;
          if (test.contains("prompt_name")) {
            const auto prompts =
                weights::read_json_file(folder + "/config_sentence_transformers.json");
            ASSERT_TRUE(prompts.ok()) << prompts.error().message;
            prompt = (*prompts)["prompts"][test["prompt_name"].get<std::string>()];
          }
          for (const auto& text : test["texts"])
            sequences.push_back(
                model->tokenizer
                    ->encode(prompt + text.get<std::string>(), {.tokens_max = model->tokens_max})
                    .ids);
          if (test.contains("ids")) {
            EXPECT_EQ(sequences, test["ids"].get<std::vector<std::vector<int32_t>>>()) << name;
          }
        } else {
          sequences = test["ids"].get<std::vector<std::vector<int32_t>>>();
        }
        const auto want =
            (*vectors)->matrix(name, static_cast<int64_t>(sequences.size()), model->dimensions());
        ASSERT_TRUE(want.ok()) << want.error().message;
        const auto got = run(*model, executor, sequences);
        for (size_t i = 0; i < got.size(); ++i) {
          std::vector<float> row(model->dimensions());
          want->row_to(static_cast<int64_t>(i), row.data());
          const double similarity = cosine(got[i].data(), row.data(), model->dimensions());
          worst = std::min(worst, similarity);
          EXPECT_GE(similarity, level.cosine_min)
              << name << " row " << i << " " << level.dtype << " " << isa_name(isa);
          // Lengths too: a cosine does not see a missing or doubled normalisation.
          double got_length = 0, want_length = 0;
          for (int c = 0; c < model->dimensions(); ++c)
            got_length += double(got[i][c]) * got[i][c], want_length += double(row[c]) * row[c];
          EXPECT_NEAR(std::sqrt(got_length / want_length), 1.0,
                      level.cosine_min > 0.999 ? 0.01 : 0.05)
              << name << " row " << i;
          const auto alone = run(*model, executor, {sequences[i]});
          EXPECT_EQ(std::memcmp(alone[0].data(), got[i].data(), got[i].size() * 4), 0)
              << name << " row " << i << ": alone differs from batch, " << level.dtype << " "
              << isa_name(isa);
          ++checked;
        }
      }
      EXPECT_GT(checked, 0);
    }
    std::printf("  %s %s: lowest cosine %.7f\n", GetParam().c_str(), level.dtype, worst);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Encoders, testing::ValuesIn(checkpoints_in(root())),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name)
                             if (!isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

}  // namespace
}  // namespace sis
