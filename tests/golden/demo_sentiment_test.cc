// The sentiment classifier in the box gives the logits transformers gives, and it is right about at
// least kRightMin of 200 sentences written by hand (tests/golden/sentiment_sentences.json, never
// used for its training).
#include "demo_classifier.h"

#include <algorithm>
#include <cstdio>

namespace sis {
namespace {

constexpr const char* kFolder = "demo/models/sentiment";
constexpr int kRightMin = 180;

struct Level {
  const char* name;
  DType compute;
  double error_max;  // of a logit; they lie between -5 and 5
};

class DemoSentiment : public testing::TestWithParam<Level> {};

TEST_P(DemoSentiment, MatchesTransformers) {
  auto model = DemoClassifier::load(kFolder, GetParam().compute);
  ASSERT_TRUE(model.ok()) << model.error().message;
  expect_recorded_logits(*model, "tests/golden/demo_sentiment.json", GetParam().error_max);
}

TEST_P(DemoSentiment, KnowsTheMoodOfASentence) {
  auto model = DemoClassifier::load(kFolder, GetParam().compute);
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto sentences = weights::read_json_file("tests/golden/sentiment_sentences.json");
  ASSERT_TRUE(sentences.ok()) << sentences.error().message;
  ASSERT_EQ(sentences->size(), 200u);
  std::vector<ClassifierText> texts;
  for (const auto& sentence : *sentences) texts.push_back({sentence["text"], {}});
  const auto rows = model->logits(texts);
  int right = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto best = std::max_element(rows[i].begin(), rows[i].end()) - rows[i].begin();
    right += model->labels()[static_cast<size_t>(best)] == (*sentences)[i]["label"];
  }
  std::printf("  %s: %d of 200 sentences\n", GetParam().name, right);
  EXPECT_GE(right, kRightMin);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, DemoSentiment,
                         testing::Values(Level{"f32", DType::kF32, 2e-3},
                                         Level{"bf16", DType::kBf16, 0.1},
                                         Level{"int8", DType::kI8, 0.25}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sis
