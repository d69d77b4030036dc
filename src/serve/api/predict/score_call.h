// What the routes of classifiers and rerankers have in common between a request's JSON and its
// answer's.
//
// A parser turns the body into what the model shall read and a function that writes the answer; the
// routes do the rest the same way for all (score_routes.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "serve/tasks/classify.h"
#include "serve/tasks/embed.h"

namespace sis::api {

// A loaded model as these routes see it.
struct ScoreModel {
  std::string name;
  tasks::EmbedService* service = nullptr;  // null: it does something else altogether
  bool classifies = false;                 // capability text-classification
  bool ranks = false;                      // capability rerank
  bool embeds = false;                     // capability text-embedding: scores pairs by cosine
  tasks::ScoreRule rule = tasks::ScoreRule::kSoftmax;
  std::vector<std::string> labels;  // of the columns
  std::string version;              // changes with the weights
  std::string uri;                  // where the weights come from, as the catalog says
  int64_t loaded_at = 0;            // unix seconds
};

struct ScoreOptions {
  int64_t texts_max = 32;           // documents, pairs or texts per request (MAX_BATCH_SIZE)
  int64_t text_chars_max = 20000;   // Unicode code points (MAX_TEXT_CHARS)
  int64_t predict_texts_max = 100;  // per /predict_batch (PREDICT_MAX_BATCH_SIZE)
  int32_t rerank_tokens_max = 512;  // of a query and a document together; 0: the model's
  bool strict_fields = false;       // unknown fields are refused
  bool count_tokens = true;         // else usage is 0
  size_t parse_inline_bytes_max = 64 << 10;
};

// Where a request stands while it is parsed.
struct ScorePlace {
  const ScoreModel& model;
  const ScoreOptions& options;
  std::string request_id;
  int64_t now = 0;  // unix seconds
};

struct ScoreCall {
  tasks::EmbedRequest request;         // without inputs: answered without the model
  const char* inputs_name = "inputs";  // what the client calls them, for messages
  std::function<std::string(const tasks::EmbedAnswer&)> write;
};

}  // namespace sis::api
