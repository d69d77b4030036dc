#include "serve/server/score_models.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "serve/tasks/classify.h"

namespace sis::server {
namespace {

bool is_reranker(const ModelPool::EmbedEntry& entry) {
  return entry.kind == ModelKind::kRerank ||
         (entry.kind == ModelKind::kClassification && entry.service->model().dimensions() == 1);
}

bool is_classifier(const ModelPool::EmbedEntry& entry) {
  return entry.kind == ModelKind::kClassification;
}

}  // namespace

api::ScoreModel score_model(const ModelPool::EmbedEntry& entry) {
  const nn::HeadConfig& head = entry.service->model().head.config();
  return {.name = entry.name,
          .service = entry.service.get(),
          .classifies = is_classifier(entry),
          .ranks = is_reranker(entry),
          .embeds = entry.kind == ModelKind::kEmbedding,
          .rule = tasks::score_rule(head),
          .labels = head.labels,
          .version = entry.version,
          .uri = entry.uri,
          .loaded_at = entry.loaded_at};
}

std::vector<std::string> score_capabilities(const ModelPool::EmbedEntry& entry) {
  std::vector<std::string> words;
  if (is_reranker(entry)) words.push_back("rerank");
  if (is_classifier(entry)) words.push_back("text-classification");
  return words;
}

}  // namespace sis::server
