#include "serve/api/infer/infer_json.h"

#include <algorithm>

#include "base/strings.h"
#include "serve/api/json_body.h"
#include "serve/api/openai/chat_fields.h"
#include "serve/api/sorted_json.h"
#include "serve/tasks/conversation.h"

namespace sis::api {
namespace {

using simdjson::dom::element;

constexpr int64_t kKeyBytesMax = 256;

// These have their own place in this API, or none: one answer, whole or as events by the path.
constexpr const char* kNotParams[] = {"n", "stream", "stream_options", "logprobs", "top_logprobs"};

Result<std::string> read_prompt(const simdjson::dom::object& object, int64_t chars_max) {
  element value;
  if (object["prompt"].get(value) != simdjson::SUCCESS || value.is_null())
    return invalid("prompt is missing", "prompt");
  SIS_ASSIGN(std::string prompt, text_of(value, "prompt"));
  const int64_t chars = count_code_points(prompt);
  if (chars < 1 || chars > chars_max)
    return invalid(concat("prompt: want 1 to ", chars_max, " characters, got ", chars), "prompt");
  return prompt;
}

Status read_param(std::string_view key, const element& value, const InferLimits& limits,
                  const ModelFacts& model, GenerateFields& fields, bool& raw) {
  if (std::find(std::begin(kNotParams), std::end(kNotParams), key) != std::end(kNotParams))
    return {};
  if (key == "max_new_tokens" || key == "max_tokens") {
    SIS_ASSIGN(const int64_t tokens, whole_number(value, key, 1, limits.tokens_max));
    fields.call.tokens_max = static_cast<int32_t>(tokens);
  } else if (key == "do_sample") {
    SIS_ASSIGN(const bool sample, flag(value, key));
    if (!sample) fields.call.temperature = 0.0f;
  } else if (key == "raw") {
    SIS_ASSIGN(raw, flag(value, key));
  } else {
    SIS_TRY(read_shared_field(key, value, model, fields));  // false: nobody knows it
  }
  return {};
}

Status read_params(const simdjson::dom::object& object, const InferLimits& limits,
                   const ModelFacts& model, GenerateFields& fields, bool& raw) {
  element params;
  if (object["params"].get(params) != simdjson::SUCCESS || params.is_null()) return {};
  simdjson::dom::object members;
  if (params.get_object().get(members) != simdjson::SUCCESS)
    return unwanted("params", "an object", params);
  bool greedy = false;
  for (const auto [key, value] : members) {
    if (value.is_null()) continue;
    if (auto read = read_param(key, value, limits, model, fields, raw); !read.ok()) {
      Error error = std::move(read).error();
      error.message = concat("params.", error.message);
      error.param = concat("params.", error.param.empty() ? std::string(key) : error.param);
      return error;
    }
    greedy |= key == "do_sample" && fields.call.temperature == 0.0f;
  }
  if (greedy) fields.call.temperature = 0.0f;  // whatever order they came in
  return check_shared_fields(model, fields);
}

}  // namespace

Result<InferCall> parse_infer(std::string_view body, const InferLimits& limits,
                              const FindModel& find_model) {
  // What the body says is checked before what it names: only then may a model be missing.
  SIS_ASSIGN(const auto object, parse_body(body));
  SIS_ASSIGN(std::string prompt, read_prompt(object, limits.prompt_chars_max));
  SIS_ASSIGN(auto with_model, find_body_model(object, find_model));

  InferCall infer;
  infer.model = with_model.model;
  element key;
  if (with_model.object["idempotency_key"].get(key) == simdjson::SUCCESS && !key.is_null()) {
    SIS_ASSIGN(infer.idempotency_key, text_of(key, "idempotency_key"));
    const auto bytes = static_cast<int64_t>(infer.idempotency_key.size());
    if (bytes < 1 || bytes > kKeyBytesMax)
      return invalid(concat("idempotency_key: want 1 to ", kKeyBytesMax, " bytes, got ", bytes),
                     "idempotency_key");
  }
  bool raw = false;
  GenerateFields fields;
  fields.call.tokens_max = limits.tokens_default;
  SIS_TRY(read_params(with_model.object, limits, with_model.found.facts, fields, raw));

  std::string params;
  if (element given; with_model.object["params"].get(given) == simdjson::SUCCESS)
    append_sorted_json(params, given, {});
  infer.digest = sha256_of({infer.model, prompt, params});
  infer.prompt = prompt;
  infer.params = params;
  infer.call = std::move(fields.call);
  if (with_model.found.text->templates && !raw)
    infer.call.chat = tasks::one_message(prompt);
  else
    infer.call.text = std::move(prompt);
  return infer;
}

}  // namespace sis::api
