// The routes POST /v1/infer and POST /v1/infer/stream: one prompt to one text, on the services that
// chat runs on.
//
// Order of checks: content type (415) -> body (422) -> model (404) -> params (422) -> the client's
// rate limit (429) -> idempotency key (its answer; 409 while the first request runs; 422 with
// another body) -> circuit breaker (503) -> the model's queue (429). A body too large to be read
// where it comes in is charged to its client before it is read. Errors are {"error","detail"}.
// Built before serving, then read-only but for idempotency keys and open streams.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/task_pool.h"
#include "net/http_server.h"
#include "serve/api/idempotency.h"
#include "serve/api/infer/infer_json.h"
#include "serve/api/infer/infer_text.h"
#include "serve/api/observer.h"
#include "serve/api/openai/chat.h"
#include "serve/api/openai/open_streams.h"
#include "telemetry/log.h"

namespace sis::api {

struct InferOptions {
  InferLimits limits;
  IdempotencyOptions idempotency;
  GenerationOptions generation;
  size_t parse_inline_bytes_max = 16 << 10;
};

class InferRoutes {
 public:
  // As ChatRoutes takes them.
  InferRoutes(const InferOptions& options, admission::Gate& gate, TaskPool& prep, TaskPool& writers,
              const Clock& clock, RequestObserver& unknown, telemetry::Logger log);

  using Model = ChatRoutes::Model;  // no service: the model does something else
  void add(const std::string& name, const Model& model);

  void infer(std::shared_ptr<net::Exchange> exchange);
  void stream(std::shared_ptr<net::Exchange> exchange);

  // Answers that are certain (temperature 0) are kept there and given again. Before serving.
  void use_cache(cache::ResponseCache& cache) { cache_ = &cache; }

  void sweep();  // as ChatRoutes'

 private:
  void handle(std::shared_ptr<net::Exchange> exchange, bool stream);
  void start(const std::shared_ptr<Generation>& generation, bool stream);
  void carry_out(const std::shared_ptr<Generation>& generation, const Model& model, InferCall call,
                 bool stream);
  // False: answered already. Else the lease, if there is one, is to keep the answer.
  bool begin(Generation& generation, const InferCall& call, const InferHead& head,
             IdempotencyMap::Lease& lease);

  const InferOptions options_;
  TaskPool& prep_;
  const Clock& clock_;
  RequestObserver& unknown_;
  const telemetry::Logger log_;
  const GenerationPlace place_;
  std::map<std::string, Model, std::less<>> models_;
  cache::ResponseCache* cache_ = nullptr;
  IdempotencyMap answers_;
  OpenStreams streams_;
};

}  // namespace sis::api
