// Loaded models as the routes of classifiers and rerankers see them.
#pragma once

#include <string>

#include "serve/api/predict/score_call.h"
#include "serve/server/catalog.h"
#include "serve/server/model_pool.h"

namespace sis::server {

// Of a classifier or reranker: a head with one output reranks whatever its entry calls it.
api::ScoreModel score_model(const ModelPool::EmbedEntry& entry);
// What it says in /v1/models.
std::vector<std::string> score_capabilities(const ModelPool::EmbedEntry& entry);

}  // namespace sis::server
