// What makes a checkpoint a classifier or a reranker: its head, and for decoders the words around a
// pair.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "infer/nn/embedding_head.h"
#include "infer/text/tokenizer/tokenizer.h"
#include "serve/tasks/embed_model.h"

namespace sis::server {

struct ScoreHead {
  nn::HeadConfig head;
  std::optional<tasks::PairPrompt> prompt;
};

// The sequence-classification head of `folder` (nn::read_classification_head). With `rerank` also a
// Qwen3-Reranker, a decoder asked whether a document answers a query: its head are the two rows of
// the output layer for "no" and "yes", so it runs as an encoder, without generating. Errors name
// the file and what is missing.
Result<ScoreHead> read_score_head(const std::string& folder, bool rerank,
                                  const text::Tokenizer& tokenizer);

}  // namespace sis::server
