// What a classifier's logits mean.
//
// A classifier runs as an embedding model whose vectors are logits (EmbedService): one column per
// label. Here is the arithmetic behind it; pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "infer/nn/embedding_head.h"
#include "serve/tasks/embed.h"

namespace sis::tasks {

enum class ScoreRule : uint8_t {
  kSoftmax,  // one of several labels is true: scores sum to 1
  kSigmoid,  // every label by itself, and heads of one label
  kRaw,      // regression: the logit is the answer
};

// As the checkpoint's problem_type and number of labels say.
ScoreRule score_rule(const nn::HeadConfig& head);

std::vector<float> scores_of(std::span<const float> logits, ScoreRule rule);

// The column with the highest value, the first of equal ones. At least one value.
size_t best_column(std::span<const float> values);
// Columns by value, highest first; equal ones in their order.
std::vector<size_t> columns_by_value(std::span<const float> values);

// kInternal naming the first input whose logits hold a value that is not a number.
Status check_finite(const EmbedAnswer& answer);

}  // namespace sis::tasks
