#include "serve/api/text/text_routes.h"

#include <algorithm>
#include <chrono>

#include "base/strings.h"
#include "serve/api/client.h"
#include "serve/api/errors.h"
#include "serve/api/request_timeout.h"
#include "serve/tasks/conversation.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

using telemetry::Stage;

TimePoint now() { return std::chrono::steady_clock::now(); }

}  // namespace

Result<const tasks::TextModel*> TextRoutes::find(const net::HttpRequest& request,
                                                 const std::string& name,
                                                 bool with_template) const {
  for (const auto& model : models_) {
    if (name.empty() && (with_template && model.templates == nullptr)) continue;
    if (!name.empty() && model.name != name) continue;
    if (auto status = check_client_model(request, model.name); status.ok())
      return &model;
    else if (!name.empty())
      return std::move(status).error();
  }
  if (name.empty())
    return Error{Code::kInvalidArgument,
                 with_template ? "no loaded model has a chat template" : "no model is loaded",
                 "model"};
  return model_not_loaded(name);
}

void TextRoutes::run(std::shared_ptr<net::Exchange> exchange, Work work) const {
  const auto trace = RequestTrace::of(exchange);
  trace->set_model(kUnknown);
  const auto refuse = [&exchange](const Error& error, Duration retry_after = Duration::zero()) {
    exchange->respond(error_response(error, retry_after));
  };
  auto own = request_deadline(exchange->request());
  if (!own.ok()) return refuse(own.error());
  const TimePoint deadline = std::min(*own, exchange->request().received_at + timeout_);
  auto place = gate_.enter({.deadline = deadline});
  if (!place.ok()) return refuse(place.error());
  // Shared, because a job has to be copyable.
  auto held = std::make_shared<admission::Place>(std::move(*place));
  const bool posted = prep_.post([this, exchange, trace, work, deadline, held] {
    trace->mark(Stage::kQueue, now());
    if (exchange->cancelled()) return;
    if (now() >= deadline)
      return exchange->respond(
          error_response({Code::kDeadline, "the request's time was over before its turn came"}));
    auto answer = (this->*work)(exchange->request(), *trace);
    trace->mark(Stage::kCompute, now());
    if (answer.ok())
      exchange->respond({.body = std::move(*answer)});
    else
      exchange->respond(error_response(answer.error()));
  });
  if (!posted)
    refuse({Code::kOverloaded, "too many requests wait to be read"}, gate_.retry_after());
}

void TextRoutes::tokenize(std::shared_ptr<net::Exchange> exchange) const {
  run(std::move(exchange), &TextRoutes::tokenize_body);
}
void TextRoutes::detokenize(std::shared_ptr<net::Exchange> exchange) const {
  run(std::move(exchange), &TextRoutes::detokenize_body);
}
void TextRoutes::apply_template(std::shared_ptr<net::Exchange> exchange) const {
  run(std::move(exchange), &TextRoutes::apply_body);
}

Result<std::string> TextRoutes::tokenize_body(const net::HttpRequest& request,
                                              RequestTrace& trace) const {
  SIS_ASSIGN(auto call, parse_tokenize(request.body, limits_));
  trace.mark(Stage::kParse, now());
  SIS_ASSIGN(const auto* model, find(request, call.model, call.conversation.has_value()));
  trace.set_model(model->name);
  return run_tokenize(std::move(call), *model, limits_);
}

Result<std::string> TextRoutes::detokenize_body(const net::HttpRequest& request,
                                                RequestTrace& trace) const {
  SIS_ASSIGN(const auto call, parse_detokenize(request.body, limits_));
  trace.mark(Stage::kParse, now());
  SIS_ASSIGN(const auto* model, find(request, call.model, /*with_template=*/false));
  trace.set_model(model->name);
  return run_detokenize(call, *model);
}

Result<std::string> TextRoutes::apply_body(const net::HttpRequest& request,
                                           RequestTrace& trace) const {
  SIS_ASSIGN(const auto call, tasks::parse_conversation(request.body));
  trace.mark(Stage::kParse, now());
  SIS_ASSIGN(const auto* model, find(request, call.model, /*with_template=*/true));
  trace.set_model(model->name);
  SIS_ASSIGN(const std::string prompt, tasks::render_conversation(call, *model));
  SIS_TRY(check_prompt(prompt, limits_));
  std::string out = R"({"prompt":)";
  telemetry::append_json_string(out, prompt);
  out += '}';
  return out;
}

}  // namespace sis::api
