#include "perf/load/rerank.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "perf/load/json_answer.h"

namespace sis::perf {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;

class RerankJudge final : public Judge {
 public:
  RerankJudge(RerankShape shape, int documents, int results)
      : tei_(shape == RerankShape::kTei),
        documents_(documents),
        results_(results),
        seen_(static_cast<size_t>(documents)) {}

  Judgement judge(uint64_t, const Answer& answer) override {
    if (answer.status != 200) return wrong_status(answer);
    element document;
    if (std::string why = json_.parse(answer.body, document); !why.empty())
      return {.error = std::move(why)};
    if (std::string why = check(document); !why.empty()) return {.error = std::move(why)};
    Judgement judgement{.ok = true, .items = static_cast<uint32_t>(documents_)};
    for (const char* name : {"total_tokens", "prompt_tokens"}) {
      int64_t tokens = 0;
      if (!document["usage"][name].get(tokens) && tokens >= 0) judgement.prompt_tokens = tokens;
    }
    return judgement;
  }

 private:
  std::string check(element document) {
    array results;
    if (tei_ ? document.get(results) : document["results"].get(results))
      return tei_ ? "answer is no array of scores" : "answer has no array 'results'";
    std::fill(seen_.begin(), seen_.end(), false);
    int count = 0;
    double last = INFINITY;
    for (const element result : results) {
      int64_t index = 0;
      if (result["index"].get(index) || index < 0 || index >= documents_)
        return concat("results[", count, "].index: want 0..", documents_ - 1);
      if (seen_[static_cast<size_t>(index)])
        return concat("results[", count, "].index: document ", index, " is there twice");
      seen_[static_cast<size_t>(index)] = true;
      double score = 0;
      const char* name = tei_ ? "score" : "relevance_score";
      if (result[name].get(score) || !std::isfinite(score))
        return concat("results[", count, "].", name, ": want a number");
      if (score > last)
        return concat("results[", count, "].", name, ": want scores that fall, found ", score,
                      " after ", last);
      last = score;
      ++count;
    }
    if (count != results_)
      return concat("answer has ", count, " results, want ", results_, " of ", documents_,
                    " documents");
    return {};
  }

  bool tei_;
  int documents_, results_;
  std::vector<bool> seen_;
  JsonAnswer json_;
};

const char* default_path(RerankShape shape) {
  switch (shape) {
    case RerankShape::kOwn:
    case RerankShape::kJina:
      return "/v1/rerank";
    case RerankShape::kCohere:
      return "/v2/rerank";
    case RerankShape::kTei:
      return "/rerank";
  }
  return "/v1/rerank";
}

}  // namespace

Result<std::unique_ptr<RerankWorkload>> RerankWorkload::create(const RerankOptions& options) {
  const bool tei = options.shape == RerankShape::kTei;
  if (tei && options.top_n > 0)
    return Error{Code::kInvalidArgument, "top_n: TEI's rerank has none; want 0"};
  auto workload = std::make_unique<RerankWorkload>();
  workload->salt_ = options.salt;
  workload->shape_ = options.shape;
  workload->documents_ = options.documents_per_request;
  workload->results_ = options.top_n > 0 ? std::min(options.top_n, options.documents_per_request)
                                         : options.documents_per_request;
  Rng rng(options.seed);
  const auto per_request = static_cast<size_t>(options.documents_per_request);
  const size_t wanted = std::max(options.queries.requests_wanted(1, options.requests),
                                 options.documents.requests_wanted(per_request, options.requests));
  uint64_t next_document = 0;
  for (size_t i = 0; i < wanted && !workload->pool_.full(); ++i) {
    TaggedBody body;
    body.json("{");
    if (!tei && !options.model.empty()) body.json(R"("model":)").string(options.model).json(",");
    body.json(R"("query":)");
    body.string(options.queries.get(i, options.distinct, rng), options.distinct);
    body.json(tei ? R"(,"texts":[)" : R"(,"documents":[)");
    for (size_t k = 0; k < per_request; ++k) {
      if (k > 0) body.json(",");
      body.string(options.documents.get(next_document++, false, rng));
    }
    body.json("]");
    if (options.top_n > 0) body.json(concat(R"(,"top_n":)", options.top_n));
    if (options.shape == RerankShape::kJina) body.json(R"(,"return_documents":false)");
    body.json("}");
    const JsonPost post{.url = options.url,
                        .path = options.path.empty() ? default_path(options.shape) : options.path,
                        .api_key = options.api_key,
                        .keep_alive = options.keep_alive};
    SIS_ASSIGN(PooledRequest request, std::move(body).post(post));
    workload->pool_.add(std::move(request));
  }
  return workload;
}

std::unique_ptr<Judge> RerankWorkload::make_judge() const {
  return std::make_unique<RerankJudge>(shape_, documents_, results_);
}

}  // namespace sis::perf
