// The cross-encoder in the box gives the logits transformers gives, and it ranks better than the
// embedding model in the box: nDCG@10 on the 100 hand-written queries of
// tests/golden/embed_queries.json (one right candidate of 20 each, never used for training) is at
// least kNdcgMin, where demo/models/embed reaches kEmbedNdcg.
#include "demo_classifier.h"

#include <cmath>
#include <cstdio>

namespace sis {
namespace {

constexpr const char* kFolder = "demo/models/rerank";
constexpr double kNdcgMin = 0.972;
constexpr double kEmbedNdcg = 0.9615;  // tools/demo/rerank/evaluate.py --embed prints it
static_assert(kNdcgMin > kEmbedNdcg);

struct Level {
  const char* name;
  DType compute;
  double error_max;  // of a logit; they lie between -10 and 10
};

class DemoRerank : public testing::TestWithParam<Level> {};

TEST_P(DemoRerank, MatchesTransformers) {
  auto model = DemoClassifier::load(kFolder, GetParam().compute);
  ASSERT_TRUE(model.ok()) << model.error().message;
  expect_recorded_logits(*model, "tests/golden/demo_rerank.json", GetParam().error_max);
}

TEST_P(DemoRerank, RanksBetterThanTheEmbeddings) {
  auto model = DemoClassifier::load(kFolder, GetParam().compute);
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto queries = weights::read_json_file("tests/golden/embed_queries.json");
  ASSERT_TRUE(queries.ok()) << queries.error().message;
  ASSERT_EQ(queries->size(), 100u);
  double gain = 0;
  int first = 0;
  for (const auto& query : *queries) {
    std::vector<ClassifierText> pairs;
    for (const auto& candidate : query["candidates"])
      pairs.push_back({query["query"], candidate.get<std::string>()});
    ASSERT_EQ(pairs.size(), 20u);
    const auto scores = model->logits(pairs);
    const size_t answer = query["answer"].get<size_t>();
    int place = 1;
    for (size_t i = 0; i < scores.size(); ++i)
      place += i != answer && scores[i][0] >= scores[answer][0];
    gain += place <= 10 ? 1 / std::log2(1.0 + place) : 0;
    first += place == 1;
  }
  std::printf("  %s: nDCG@10 %.4f, %d of 100 first\n", GetParam().name, gain / 100, first);
  EXPECT_GE(gain / 100, kNdcgMin);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, DemoRerank,
                         testing::Values(Level{"f32", DType::kF32, 2e-3},
                                         Level{"bf16", DType::kBf16, 0.25},
                                         Level{"int8", DType::kI8, 0.5}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sis
