// POST /v1/rerank and its kin, /v1/score: JSON to pairs for a reranker, its logits to JSON.
//
// One native question, four dialects, told apart by path and fields:
//
//   own     /v1/rerank with model, query, documents, top_n only: scores are logits, documents come
//           back as strings, no documents give no results
//   Jina    return_documents, documents as {"text"}, or another path: scores 0..1, documents come
//           back as {"text"} unless asked not to. Cohere's v1 is the same
//   Cohere  /v2/rerank: the same without the documents
//   TEI     texts: a bare array of {"index","score","text"?}
//
// raw_scores says logits or not in all of them. All results stand by score, highest first, equal
// ones in the order of the request; `index` is the place there.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "serve/api/predict/score_call.h"
#include "serve/api/predict/score_fields.h"

namespace sis::api {

enum class RerankDialect : uint8_t { kOwn, kJina, kCohere2, kTei };
RerankDialect rerank_dialect(std::string_view path, const JsonObject& body);

Result<ScoreCall> parse_rerank(RerankDialect dialect, const JsonObject& body,
                               const ScorePlace& place);

// text_1 and text_2, strings or arrays: pair by pair, or one text_1 with every text_2. A reranker
// reads the pairs; of an embedding model the score is the cosine of their vectors.
Result<ScoreCall> parse_score(const JsonObject& body, const ScorePlace& place);

}  // namespace sis::api
