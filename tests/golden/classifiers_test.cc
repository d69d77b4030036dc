// Every tiny classifier in tests/golden/classifiers gives the logits transformers gave in f32 (made
// by tools/golden/make_classifiers.py), for texts and for pairs, with every dtype.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "infer/models/registry.h"
#include "infer/nn/embedding_head.h"
#include "infer/text/tokenizer/tokenizer.h"
#include "infer/weights/json_file.h"

namespace sis {
namespace {

using Ids = std::vector<int32_t>;

class Classifiers : public testing::TestWithParam<const char*> {};

TEST_P(Classifiers, MatchTransformers) {
  const std::string folder = std::string("tests/golden/classifiers/") + GetParam();
  const auto expected = weights::read_json_file(folder + "/expected.json");
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  const auto tokenizer = text::Tokenizer::from_folder(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const auto config = nn::read_classification_head(folder);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->labels, (*expected)["labels"].get<std::vector<std::string>>());
  EXPECT_EQ(config->multi_label, (*expected)["multi_label"].get<bool>());

  ThreadTeam team({.workers = 2, .pin = false});
  Workspace workspace;
  const struct {
    DType compute;
    double error_max;
  } kLevels[] = {{DType::kF32, 1e-4}, {DType::kBf16, 0.05}, {DType::kI8, 0.15}};
  for (const auto& level : kLevels) {
    ops::Context context{team, workspace, detect_isa()};
    const auto encoder =
        models::load_encoder(folder, {.compute = level.compute, .isa = context.isa}, team);
    ASSERT_TRUE(encoder.ok()) << encoder.error().message;
    const auto head =
        nn::EmbeddingHead::load(*config, (*encoder)->info().hidden, context.isa, team);
    ASSERT_TRUE(head.ok()) << head.error().message;
    ASSERT_EQ(head->dimensions(), static_cast<int32_t>(config->labels.size()));

    Ids ids, types, offsets{0};
    for (const auto& test : (*expected)["cases"]) {
      const auto text = test["text"].get<std::string>();
      const auto encoding =
          test.contains("pair")
              ? (*tokenizer)->encode_pair(text, test["pair"].get<std::string>(), {})
              : (*tokenizer)->encode(text, {});
      EXPECT_EQ(encoding.ids, test["ids"].get<Ids>()) << text;
      EXPECT_EQ(encoding.type_ids, test["types"].get<Ids>()) << text;
      ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
      types.insert(types.end(), encoding.type_ids.begin(), encoding.type_ids.end());
      offsets.push_back(static_cast<int32_t>(ids.size()));
    }
    workspace.reset();
    const nn::RaggedBatch batch{.ids = ids, .offsets = offsets, .types = types};
    Mat<float> states = workspace.take_mat<float>(batch.tokens(), (*encoder)->info().hidden);
    Mat<float> logits = workspace.take_mat<float>(batch.sequences(), head->dimensions());
    (*encoder)->forward(context, batch, states);
    head->forward(context, states, offsets, logits);
    for (int64_t r = 0; r < logits.rows; ++r)
      for (int64_t c = 0; c < logits.cols; ++c)
        EXPECT_NEAR(logits.at(r, c), (*expected)["cases"][r]["logits"][c].get<float>(),
                    level.error_max)
            << dtype_name(level.compute) << " case " << r;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Classifiers,
                         testing::Values("bert-sentiment", "bert-topics", "xlmr-rerank"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(ClassificationHead, SaysWhatIsMissing) {
  const auto head = nn::read_classification_head("tests/golden/encoders/bert-1layer");
  ASSERT_FALSE(head.ok());
  EXPECT_NE(head.error().message.find("classifier"), std::string::npos) << head.error().message;
}

}  // namespace
}  // namespace sis
