#include "serve/tasks/classify.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/strings.h"

namespace sis::tasks {

ScoreRule score_rule(const nn::HeadConfig& head) {
  if (head.regression) return ScoreRule::kRaw;
  return head.multi_label || head.labels.size() == 1 ? ScoreRule::kSigmoid : ScoreRule::kSoftmax;
}

std::vector<float> scores_of(std::span<const float> logits, ScoreRule rule) {
  std::vector<float> scores(logits.begin(), logits.end());
  switch (rule) {
    case ScoreRule::kSoftmax: {
      const float highest = *std::max_element(scores.begin(), scores.end());
      float sum = 0;
      for (float& score : scores) sum += score = std::exp(score - highest);
      for (float& score : scores) score /= sum;
      break;
    }
    case ScoreRule::kSigmoid:
      for (float& score : scores) score = 1 / (1 + std::exp(-score));
      break;
    case ScoreRule::kRaw:
      break;
  }
  return scores;
}

size_t best_column(std::span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

std::vector<size_t> columns_by_value(std::span<const float> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  return order;
}

Status check_finite(const EmbedAnswer& answer) {
  for (size_t i = 0; i < answer.items.size(); ++i)
    for (const float x : answer.items[i]->vector)
      if (!std::isfinite(x))
        return Error{Code::kInternal,
                     concat("the model made a value that is not a number for input[", i, "]")};
  return {};
}

}  // namespace sis::tasks
