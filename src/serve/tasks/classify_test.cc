#include "serve/tasks/classify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "serve/tasks/rerank.h"

namespace sis::tasks {
namespace {

nn::HeadConfig head_of(std::vector<std::string> labels, bool multi_label, bool regression) {
  nn::HeadConfig head;
  head.labels = std::move(labels);
  head.multi_label = multi_label;
  head.regression = regression;
  return head;
}

TEST(Classify, TheHeadSaysHowLogitsBecomeScores) {
  EXPECT_EQ(score_rule(head_of({"a", "b"}, false, false)), ScoreRule::kSoftmax);
  EXPECT_EQ(score_rule(head_of({"a", "b"}, true, false)), ScoreRule::kSigmoid);
  EXPECT_EQ(score_rule(head_of({"a"}, false, false)), ScoreRule::kSigmoid);
  EXPECT_EQ(score_rule(head_of({"a"}, false, true)), ScoreRule::kRaw);
}

TEST(Classify, ScoresFollowTheirFormulas) {
  const float logits[] = {1.0f, -2.0f, 0.5f};
  const auto softmax = scores_of(logits, ScoreRule::kSoftmax);
  const double sum = std::exp(1.0) + std::exp(-2.0) + std::exp(0.5);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(softmax[i], std::exp(double(logits[i])) / sum, 1e-6);
  const auto sigmoid = scores_of(logits, ScoreRule::kSigmoid);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(sigmoid[i], 1 / (1 + std::exp(-double(logits[i]))), 1e-6);
  EXPECT_EQ(scores_of(logits, ScoreRule::kRaw), (std::vector<float>{1.0f, -2.0f, 0.5f}));
}

// exp() of such logits alone would overflow.
TEST(Classify, LargeLogitsStayFinite) {
  const float logits[] = {1000.0f, 999.0f, -1000.0f};
  const auto softmax = scores_of(logits, ScoreRule::kSoftmax);
  EXPECT_NEAR(softmax[0], 1 / (1 + std::exp(-1.0)), 1e-6);
  EXPECT_EQ(softmax[2], 0.0f);
  const auto sigmoid = scores_of(logits, ScoreRule::kSigmoid);
  EXPECT_EQ(sigmoid[0], 1.0f);
  EXPECT_EQ(sigmoid[2], 0.0f);
}

TEST(Classify, EqualValuesKeepTheirOrder) {
  const float values[] = {0.5f, 2.0f, 0.5f, 2.0f};
  EXPECT_EQ(columns_by_value(values), (std::vector<size_t>{1, 3, 0, 2}));
  EXPECT_EQ(best_column(values), 1u);
}

TEST(Classify, ValuesThatAreNoNumbersAreNamed) {
  EmbedAnswer answer;
  answer.items.push_back(std::make_shared<const Embedded>(Embedded{{1.0f, 2.0f}, 3}));
  EXPECT_TRUE(check_finite(answer).ok());
  answer.items.push_back(std::make_shared<const Embedded>(
      Embedded{{1.0f, std::numeric_limits<float>::quiet_NaN()}, 3}));
  const auto status = check_finite(answer);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("input[1]"), std::string::npos);
}

TEST(Rerank, SeveralLogitsCountByTheFirstYesAndNoByTheirDifference) {
  EmbedModel model;
  const float logits[] = {0.5f, 2.0f};
  EXPECT_EQ(relevance_of(model, logits), 0.5f);
  model.pair_prompt.emplace();
  EXPECT_EQ(relevance_of(model, logits), 1.5f);
  EXPECT_NEAR(sigmoid(1.5f), scores_of(logits, ScoreRule::kSoftmax)[1], 1e-6);
}

TEST(Rerank, CosineOfNothingIsZero) {
  const float a[] = {3.0f, 4.0f}, b[] = {-8.0f, 6.0f}, none[] = {0.0f, 0.0f};
  EXPECT_NEAR(cosine(a, a), 1.0f, 1e-6);
  EXPECT_NEAR(cosine(a, b), 0.0f, 1e-6);
  EXPECT_EQ(cosine(a, none), 0.0f);
}

}  // namespace
}  // namespace sis::tasks
