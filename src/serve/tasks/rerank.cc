#include "serve/tasks/rerank.h"

#include <cmath>

namespace sis::tasks {

EmbedRequest rerank_request(const std::string& query, std::vector<std::string> documents) {
  EmbedRequest request;
  request.inputs.reserve(documents.size());
  for (auto& document : documents)
    request.inputs.push_back({.text = query, .pair = std::move(document)});
  return request;
}

float relevance_of(const EmbedModel& model, std::span<const float> logits) {
  if (model.pair_prompt && logits.size() == 2) return logits[1] - logits[0];
  return logits[0];
}

std::vector<float> relevance_of(const EmbedModel& model, const EmbedAnswer& answer) {
  std::vector<float> relevance;
  relevance.reserve(answer.items.size());
  for (const auto& item : answer.items) relevance.push_back(relevance_of(model, item->vector));
  return relevance;
}

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

float cosine(std::span<const float> a, std::span<const float> b) {
  double product = 0, a_squares = 0, b_squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    product += static_cast<double>(a[i]) * b[i];
    a_squares += static_cast<double>(a[i]) * a[i];
    b_squares += static_cast<double>(b[i]) * b[i];
  }
  const double lengths = std::sqrt(a_squares * b_squares);
  return lengths > 0 ? static_cast<float>(product / lengths) : 0.0f;
}

}  // namespace sis::tasks
