#include "serve/api/openai/chat.h"

#include <algorithm>
#include <chrono>

#include "base/strings.h"
#include "serve/api/client.h"
#include "serve/api/errors.h"
#include "serve/api/json_body.h"
#include "serve/api/openai/chat_text.h"
#include "serve/api/openai/completions_json.h"
#include "serve/api/openai/completions_text.h"

namespace sis::api {
namespace {

// Of a chat that is not streamed: they change nothing about its answer.
constexpr std::string_view kNoEffectFields[] = {
    "stream",   "stream_options", "user",         "safety_identifier",
    "metadata", "store",          "service_tier", "prompt_cache_key"};

}  // namespace

FoundModel model_for_parsing(const std::string& name, const GenerationModel& model) {
  if (model.service == nullptr) return {};
  const tasks::TextModel& text = model.service->model();
  return {.facts = {.name = name,
                    .vocab_size = std::max(text.vocab_size, text.tokenizer->vocab_size()),
                    .structured_outputs = model.structured_outputs},
          .text = &text};
}

ChatRoutes::ChatRoutes(const ChatOptions& options, admission::Gate& gate, TaskPool& prep,
                       TaskPool& writers, const Clock& clock, RequestObserver& unknown,
                       telemetry::Logger log)
    : options_(options),
      prep_(prep),
      unknown_(unknown),
      log_(std::move(log)),
      chat_place_{options.generation, prep, writers, clock, log_, gate, "chat_request", "chat"},
      completions_place_{options.generation, prep, writers, clock, log_, gate, "completion_request",
                         "text_completion"},
      streams_(clock, options.generation.keep_alive) {}

void ChatRoutes::add(const std::string& name, const Model& model) {
  models_[name] = {model, model.observer};
}

void ChatRoutes::add_other(const std::string& name, RequestObserver& observer) {
  models_[name] = {{}, &observer};
}

void ChatRoutes::chat(std::shared_ptr<net::Exchange> exchange) {
  handle(std::move(exchange), chat_place_, &ChatRoutes::parse_chat);
}

void ChatRoutes::completions(std::shared_ptr<net::Exchange> exchange) {
  handle(std::move(exchange), completions_place_, &ChatRoutes::parse_completions);
}

void ChatRoutes::handle(std::shared_ptr<net::Exchange> exchange, const GenerationPlace& place,
                        Parse parse) {
  auto generation = std::make_shared<Generation>(std::move(exchange), place, unknown_);
  const net::HttpRequest& http = generation->request();
  if (!is_json_type(http.header("Content-Type")))
    return generation->refuse(
        status_response(415, concat("Content-Type: want application/json, got ",
                                    in_quotes(http.header("Content-Type")))));
  if (http.body.size() <= options_.parse_inline_bytes_max) return start(generation, parse);
  if (!prep_.post([this, generation, parse] { start(generation, parse); }))
    generation->refuse({Code::kOverloaded, "too many large requests wait to be read"});
}

void ChatRoutes::start(const std::shared_ptr<Generation>& generation, Parse parse) {
  const Entry* entry = nullptr;
  const FindModel find = [&](const std::string& name) -> Result<FoundModel> {
    const auto it = models_.find(name);
    if (it == models_.end()) return model_not_loaded(name);
    entry = &it->second;
    generation->found_model(name, *entry->observer);
    SIS_TRY(check_client_model(generation->request(), name));
    return model_for_parsing(name, entry->model);
  };
  auto plan = (this->*parse)(generation->request().body, find);
  if (!plan.ok()) return generation->refuse(plan.error());
  if (plan->stream) streams_.add(generation);
  if (cache_ != nullptr && parse == &ChatRoutes::parse_chat)
    plan->cache =
        certain_answer(*cache_, generation->request(), entry->model, *plan,
                       {.params = generation->request().body, .params_skip = kNoEffectFields});
  generation->run(entry->model, std::move(*plan));
}

AnswerHead ChatRoutes::head(const char* id_prefix, const std::string& model) const {
  return {.id = make_id(id_prefix),
          .model = model,
          .fingerprint = models_.find(model)->second.model.fingerprint,
          .created = std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count()};
}

Result<GenerationPlan> ChatRoutes::parse_chat(std::string_view body, const FindModel& find) const {
  SIS_ASSIGN(auto chat, parse_chat_call(body, options_.strict_fields, find));
  const GenerateFields& fields = chat.fields;
  GenerationPlan plan;
  plan.stream = fields.stream;
  plan.include_usage = fields.include_usage;
  plan.timeout = fields.timeout;
  plan.printer = chat_printer({.head = head("chatcmpl-", chat.model),
                               .choices = fields.call.choices,
                               .logprobs = fields.call.logprobs >= 0,
                               .usage_null = fields.include_usage});
  plan.calls.push_back(std::move(chat.fields.call));
  return plan;
}

Result<GenerationPlan> ChatRoutes::parse_completions(std::string_view body,
                                                     const FindModel& find) const {
  const tasks::TextModel* text = nullptr;
  const FindModel remember = [&](const std::string& name) -> Result<FoundModel> {
    SIS_ASSIGN(auto found, find(name));
    text = found.text;
    return found;
  };
  SIS_ASSIGN(auto completion, parse_completion_call(body,
                                                    {.prompts_max = options_.prompts_max,
                                                     .strict_fields = options_.strict_fields},
                                                    remember));
  const GenerateFields& fields = completion.fields;
  CompletionPrinterOptions printing{.head = head("cmpl-", completion.model),
                                    .prompts = completion.calls.size(),
                                    .choices = fields.call.choices,
                                    .logprobs = fields.call.logprobs,
                                    .echo = {},
                                    .usage_null = fields.include_usage};
  if (completion.echo)
    for (const auto& call : completion.calls)
      printing.echo.push_back(call.prompt_is_ids
                                  ? text->tokenizer->decode(call.ids, /*skip_special_tokens=*/false)
                                  : call.text);
  GenerationPlan plan;
  plan.stream = fields.stream;
  plan.include_usage = fields.include_usage;
  plan.timeout = fields.timeout;
  plan.printer = completion_printer(std::move(printing));
  plan.calls = std::move(completion.calls);
  return plan;
}

void ChatRoutes::sweep() { streams_.sweep(); }

}  // namespace sis::api
