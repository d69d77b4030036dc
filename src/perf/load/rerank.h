// Load for rerankers: one query and several documents, scored and sorted.
//
//   own     POST /v1/rerank {"model","query","documents"} -> {"results":[{"index",
//           "relevance_score"}]}; Cohere's and Jina's first versions understand the same
//   cohere  POST /v2/rerank, the same fields
//   jina    POST /v1/rerank with "return_documents": false
//   tei     POST /rerank {"query","texts"} -> [{"index","score"}] (Text Embeddings Inference)
//
// Requests are built ahead. With `distinct` every query begins with a number written as words, so
// that no cache of scores can help. Every answer is parsed: as many results as asked for, each
// document at most once, scores finite and never rising.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/request_pool.h"

namespace sis::perf {

enum class RerankShape : uint8_t { kOwn, kCohere, kJina, kTei };

struct RerankOptions {
  net::Url url;
  std::string path;  // empty: the shape's
  RerankShape shape = RerankShape::kOwn;
  std::string model;  // empty: not sent
  std::string api_key;
  TextSource queries, documents;
  int documents_per_request = 10;
  int top_n = 0;  // 0: all; not for kTei
  bool distinct = false;
  uint64_t salt = 0, seed = 1;
  bool keep_alive = true;
  uint64_t requests = 0;  // of the run, if known: no more are built
};

class RerankWorkload final : public PooledWorkload {
 public:
  static Result<std::unique_ptr<RerankWorkload>> create(const RerankOptions& options);
  std::unique_ptr<Judge> make_judge() const override;

 private:
  RerankShape shape_ = RerankShape::kOwn;
  int documents_ = 0, results_ = 0;
};

}  // namespace sis::perf
