#include "serve/api/infer/infer.h"

#include "base/strings.h"
#include "serve/api/client.h"
#include "serve/api/errors.h"
#include "serve/api/infer/infer_text.h"
#include "serve/api/json_body.h"
#include "serve/api/plain_errors.h"

namespace sis::api {
InferRoutes::InferRoutes(const InferOptions& options, admission::Gate& gate, TaskPool& prep,
                         TaskPool& writers, const Clock& clock, RequestObserver& unknown,
                         telemetry::Logger log)
    : options_(options),
      prep_(prep),
      clock_(clock),
      unknown_(unknown),
      log_(std::move(log)),
      place_{.options = options.generation,
             .prep = prep,
             .writers = writers,
             .clock = clock,
             .log = log_,
             .gate = gate,
             .event = "infer_request",
             .operation = "text_completion",
             .refusal = plain_error_response},
      answers_(options.idempotency, clock),
      streams_(clock, options.generation.keep_alive) {}

void InferRoutes::add(const std::string& name, const Model& model) { models_[name] = model; }

void InferRoutes::infer(std::shared_ptr<net::Exchange> exchange) {
  handle(std::move(exchange), /*stream=*/false);
}

void InferRoutes::stream(std::shared_ptr<net::Exchange> exchange) {
  handle(std::move(exchange), /*stream=*/true);
}

void InferRoutes::sweep() { streams_.sweep(); }

void InferRoutes::handle(std::shared_ptr<net::Exchange> exchange, bool stream) {
  auto generation = std::make_shared<Generation>(std::move(exchange), place_, unknown_);
  const net::HttpRequest& http = generation->request();
  if (!is_json_type(http.header("Content-Type")))
    return generation->refuse(
        plain_status_response(415, concat("Content-Type: want application/json, got ",
                                          in_quotes(http.header("Content-Type")))));
  if (http.body.size() <= options_.parse_inline_bytes_max) return start(generation, stream);
  admit_client(generation->exchange(), [this, generation, stream](const Error* refusal) {
    if (refusal) return generation->refuse(*refusal);
    if (!prep_.post([this, generation, stream] { start(generation, stream); }))
      generation->refuse({Code::kOverloaded, "too many large requests wait to be read"});
  });
}

void InferRoutes::start(const std::shared_ptr<Generation>& generation, bool stream) {
  const Model* model = nullptr;
  const FindModel find = [&](const std::string& name) -> Result<FoundModel> {
    const auto it = models_.find(name);
    if (it == models_.end()) return model_not_loaded(name);
    model = &it->second;
    generation->found_model(name, *model->observer);
    SIS_TRY(check_client_model(generation->request(), name));
    return model_for_parsing(name, *model);
  };
  auto call = parse_infer(generation->request().body, options_.limits, find);
  if (!call.ok()) return generation->refuse(call.error());
  const auto read = std::make_shared<InferCall>(std::move(*call));  // shared: functions are copied
  admit_client(generation->exchange(),
               [this, generation, model, read, stream](const Error* refusal) {
                 if (refusal) return generation->refuse(*refusal);
                 carry_out(generation, *model, std::move(*read), stream);
               });
}

void InferRoutes::carry_out(const std::shared_ptr<Generation>& generation, const Model& model,
                            InferCall call, bool stream) {
  const InferHead head{.id = generation->request().request_id,
                       .model = call.model,
                       .received_at = generation->request().received_at};
  IdempotencyMap::Lease lease;
  if (!stream && !begin(*generation, call, head, lease)) return;

  GenerationPlan plan{.stream = stream};
  plan.printer = infer_printer(head, clock_,
                               [held = std::make_shared<IdempotencyMap::Lease>(std::move(lease))](
                                   std::string result) { held->publish(std::move(result)); });
  plan.calls.push_back(std::move(call.call));
  if (stream) streams_.add(generation);
  if (cache_ != nullptr)
    plan.cache = certain_answer(*cache_, generation->request(), model, plan,
                                {.prompt = call.prompt, .params = call.params});
  generation->run(model, std::move(plan));
}

bool InferRoutes::begin(Generation& generation, const InferCall& call, const InferHead& head,
                        IdempotencyMap::Lease& lease) {
  if (call.idempotency_key.empty()) return true;
  using State = IdempotencyMap::State;
  // Each client has its own keys.
  const Sha256 key =
      sha256_of({"infer", generation.request().header("Authorization"), call.idempotency_key});
  auto begun = answers_.begin(key, call.digest);
  switch (begun.state) {
    case State::kNew:
      lease = std::move(begun.lease);
      return true;
    case State::kAnswered: {
      net::HttpResponse response{
          .body = infer_body(head, *begun.answer, /*cached=*/true, clock_.now())};
      response.headers.emplace_back("Idempotent-Replayed", "true");
      generation.refuse(std::move(response));
      return false;
    }
    case State::kRunning: {
      auto response = plain_status_response(
          409, "idempotency_key: the first request with this key is still running");
      response.headers.emplace_back("Retry-After", "1");
      generation.refuse(std::move(response));
      return false;
    }
    case State::kOtherBody:
      generation.refuse({Code::kInvalidArgument,
                         "idempotency_key: this key belongs to a request with another body",
                         "idempotency_key"});
      return false;
  }
  return true;
}

}  // namespace sis::api
