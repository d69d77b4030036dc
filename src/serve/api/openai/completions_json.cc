#include "serve/api/openai/completions_json.h"

#include <limits>

#include "base/strings.h"
#include "serve/api/json_body.h"

namespace sis::api {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using tasks::GenerateCall;

constexpr int64_t kTokensMax = std::numeric_limits<int32_t>::max();
constexpr std::string_view kDefaultPrompt = "<|endoftext|>";  // OpenAI's
constexpr int32_t kDefaultTokens = 16;                        // OpenAI's

// Values that wait until all fields are seen.
struct LateFields {
  std::optional<element> prompt;
  std::optional<int64_t> best_of, logprobs;
};

Result<GenerateCall> id_prompt(const array& list, const std::string& param, const ModelFacts& model,
                               const GenerateCall& shared) {
  GenerateCall call = shared;
  SIS_ASSIGN(call.ids, token_ids(list, param));
  call.prompt_is_ids = true;
  for (const int32_t id : call.ids)
    if (id >= model.vocab_size)
      return invalid(concat(param, ": ", in_quotes(model.name), " has tokens 0 to ",
                            model.vocab_size - 1, ", got ", id),
                     param);
  return call;
}

Status read_prompt(const element& prompt, const ModelFacts& model, const CompletionLimits& limits,
                   CompletionCall& completion) {
  const GenerateCall& shared = completion.fields.call;
  const auto add_text = [&](std::string_view text) {
    GenerateCall call = shared;
    call.text = text;
    completion.calls.push_back(std::move(call));
  };
  if (prompt.is_string()) {
    add_text(prompt.get_string().value_unsafe());
    return {};
  }
  array list;
  if (prompt.get_array().get(list))
    return unwanted("prompt", "a string, an array of strings, or token ids", prompt);
  if (list.size() == 0) return invalid("prompt is an empty array", "prompt");
  if ((*list.begin()).is_number()) {
    SIS_ASSIGN(auto call, id_prompt(list, "prompt", model, shared));
    completion.calls.push_back(std::move(call));
    return {};
  }
  if (static_cast<int64_t>(list.size()) > limits.prompts_max)
    return invalid(concat("prompt has ", list.size(), " prompts, at most ", limits.prompts_max,
                          " are allowed per request (MAX_BATCH_SIZE)"),
                   "prompt");
  for (const element item : list) {
    const std::string param = concat("prompt[", completion.calls.size(), "]");
    if (item.is_string()) {
      add_text(item.get_string().value_unsafe());
    } else if (item.is_array()) {
      SIS_ASSIGN(auto call, id_prompt(item.get_array().value_unsafe(), param, model, shared));
      completion.calls.push_back(std::move(call));
    } else {
      return unwanted(param, "a string or token ids", item);
    }
  }
  return {};
}

// False: not a field of this route.
Result<bool> read_completion_field(std::string_view key, const element& value,
                                   CompletionCall& completion, LateFields& late) {
  if (key == "prompt") {
    late.prompt = value;
  } else if (key == "max_tokens") {
    SIS_ASSIGN(const int64_t tokens, whole_number(value, key, 0, kTokensMax));
    completion.fields.call.tokens_max = static_cast<int32_t>(tokens);
  } else if (key == "echo") {
    SIS_ASSIGN(completion.echo, flag(value, key));
  } else if (key == "logprobs") {
    SIS_ASSIGN(late.logprobs, whole_number(value, key, 0, 5));
  } else if (key == "best_of") {
    SIS_ASSIGN(late.best_of, whole_number(value, key, 0, 128));
  } else if (key == "suffix") {
    SIS_ASSIGN(const auto suffix, text_of(value, key));
    if (!suffix.empty()) return invalid("suffix is not supported", "suffix");
  } else if (key == "add_special_tokens") {
    SIS_ASSIGN(const bool add, flag(value, key));
    if (!add)
      return invalid("add_special_tokens: false is not supported, send token ids instead",
                     "add_special_tokens");
  } else {
    return false;
  }
  return true;
}

}  // namespace

Result<CompletionCall> parse_completion_call(std::string_view body, const CompletionLimits& limits,
                                             const FindModel& find_model) {
  SIS_ASSIGN(auto head, parse_body_with_model(body, find_model));
  const ModelFacts& model = head.found.facts;
  CompletionCall completion{.model = std::move(head.model), .fields = {}, .calls = {}};
  GenerateCall& shared = completion.fields.call;
  shared.tokens_max = kDefaultTokens;
  LateFields late;
  for (const auto [key, value] : head.object) {
    if (value.is_null()) continue;
    SIS_ASSIGN(const bool was_shared, read_shared_field(key, value, model, completion.fields));
    if (was_shared) continue;
    SIS_ASSIGN(const bool own, read_completion_field(key, value, completion, late));
    if (!own && limits.strict_fields)
      return invalid(concat("unknown field ", in_quotes(key)), std::string(key));
  }
  if (late.best_of && *late.best_of != shared.choices)
    return invalid(concat("best_of: only ", shared.choices, ", the value of n, is supported, got ",
                          *late.best_of),
                   "best_of");
  if (late.logprobs) shared.logprobs = static_cast<int32_t>(*late.logprobs);
  shared.prompt_logprobs = late.logprobs && completion.echo;
  SIS_TRY(check_shared_fields(model, completion.fields));
  if (late.prompt) {
    SIS_TRY(read_prompt(*late.prompt, model, limits, completion));
  } else {
    if (!head.found.text->tokenizer->token_to_id(kDefaultPrompt))
      return invalid(concat("prompt is missing, and ", in_quotes(model.name), " has no token ",
                            kDefaultPrompt, " to begin with"),
                     "prompt");
    completion.calls.push_back(shared);
    completion.calls.back().text = kDefaultPrompt;
  }
  SIS_TRY(check_logprob_count(static_cast<int64_t>(completion.calls.size()), "logprobs", shared));
  return completion;
}

}  // namespace sis::api
