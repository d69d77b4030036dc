// The route POST /v1/embeddings: checks, takes a place at the gate, submits to the model's service,
// writes the answer. What is cached needs no place.
//
// Small bodies are parsed on the I/O thread and answered there when everything is cached; large
// ones and all answers that come from the device are handled on the prep pool. Built before
// serving, then read-only.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/task_pool.h"
#include "net/http_server.h"
#include "serve/api/embed_job.h"
#include "serve/api/openai/embeddings_json.h"
#include "serve/tasks/embed.h"
#include "telemetry/log.h"

namespace sis::api {

struct EmbeddingsOptions {
  EmbeddingsLimits limits;
  bool count_tokens = true;
  size_t parse_inline_bytes_max = 64 << 10;
};

class EmbeddingsRoute {
 public:
  // `unknown` hears of requests that name no loaded model.
  EmbeddingsRoute(const EmbeddingsOptions& options, admission::Gate& gate, TaskPool& prep,
                  RequestObserver& unknown, telemetry::Logger log);

  // A model that embeds. `lane`: of the gate; null: nothing is forecast; `breaker` null: it is
  // always asked. All references outlive the route.
  void add(const std::string& name, tasks::EmbedService& service, RequestObserver& observer,
           admission::Lane* lane = nullptr, admission::Breaker* breaker = nullptr);
  // A loaded model that does something else: asking it to embed is 400, not 404.
  void add_other(const std::string& name, RequestObserver& observer);

  void handle(std::shared_ptr<net::Exchange> exchange) const;

 private:
  struct Model {
    EmbedTarget target;
    RequestObserver* observer = nullptr;
  };
  struct Request;

  void parse_and_submit(const std::shared_ptr<Request>& request) const;
  Status check(const EmbeddingsCall& call, const Model& model) const;

  const EmbeddingsOptions options_;
  admission::Gate& gate_;
  TaskPool& prep_;
  RequestObserver& unknown_;
  const telemetry::Logger log_;
  std::map<std::string, Model, std::less<>> models_;
};

}  // namespace sis::api
