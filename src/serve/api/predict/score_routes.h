// The routes of classifiers and rerankers: checks, submits to the model's service, writes the
// answer.
//
//   POST /v1/rerank /v2/rerank /rerank /reranking, /v1/score /score      (rerank_json.h)
//   POST /v1/classify /classify, /predict, /predict_batch                (classify_json.h)
//   GET /models/info
//
// All of them are one EmbedService request: the texts of a request are one ragged device batch, and
// batches, cache, limits and deadlines are those of embeddings. Small bodies are parsed on the I/O
// thread, large ones and all answers that come from the device are handled on the prep pool. Built
// before serving, then read-only.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/task_pool.h"
#include "net/http_server.h"
#include "serve/api/embed_job.h"
#include "serve/api/predict/error_shape.h"
#include "serve/api/predict/score_call.h"
#include "serve/api/predict/score_fields.h"
#include "telemetry/log.h"

namespace sis::api {

class ScoreRoutes {
 public:
  // Who hears of the finished requests that named a model, one by what was asked of it.
  struct Observers {
    RequestObserver* rerank = nullptr;
    RequestObserver* classify = nullptr;
  };

  // `unknown` hears of requests that name no loaded model.
  ScoreRoutes(const ScoreOptions& options, admission::Gate& gate, TaskPool& prep, Observers unknown,
              telemetry::Logger log);

  // All references outlive the route. The first model that can do it answers requests that need
  // not name one (TEI's, /predict). A model without any of these capabilities is asked in vain:
  // 400, not 404.
  void add(ScoreModel model, Observers observers, const EmbedTarget& target);
  // Which model answers /predict when the request names none; it has been added.
  void set_predict_model(const std::string& name);

  void rerank(std::shared_ptr<net::Exchange> exchange) const;
  void score(std::shared_ptr<net::Exchange> exchange) const;
  void classify(std::shared_ptr<net::Exchange> exchange) const;
  void predict(std::shared_ptr<net::Exchange> exchange) const;
  void predict_batch(std::shared_ptr<net::Exchange> exchange) const;
  void model_info(std::shared_ptr<net::Exchange> exchange) const;

 private:
  enum class Route : uint8_t { kRerank, kScore, kClassify, kPredict, kPredictBatch };
  struct Loaded {
    ScoreModel model;
    Observers observers;
    EmbedTarget target;
  };
  struct Request;

  static ErrorShape shape_of(Route route, const std::string& path, const JsonObject& body);
  static bool can(Route route, const ScoreModel& model);
  void handle(std::shared_ptr<net::Exchange> exchange, Route route) const;
  void parse_and_submit(const std::shared_ptr<Request>& request) const;
  Result<const Loaded*> find(Route route, const JsonObject& body, ErrorShape shape) const;
  Result<ScoreCall> parse(Route route, const std::string& path, const JsonObject& body,
                          const ScorePlace& place) const;

  const ScoreOptions options_;
  admission::Gate& gate_;
  TaskPool& prep_;
  const Observers unknown_;
  const telemetry::Logger log_;
  std::map<std::string, Loaded, std::less<>> models_;
  const Loaded *first_ranker_ = nullptr, *first_classifier_ = nullptr;
};

}  // namespace sis::api
