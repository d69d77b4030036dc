#include "serve/api/openai/chat_fields.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/strings.h"
#include "serve/api/json_body.h"
#include "serve/api/openai/chat_format.h"
#include "serve/api/request_timeout.h"

namespace sis::api {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;
using tasks::GenerateCall;

constexpr size_t kStopsMax = 4, kStopBytesMax = 1024, kStopIdsMax = 128, kBiasesMax = 4096;
constexpr int64_t kTokensMax = std::numeric_limits<int32_t>::max();
constexpr int64_t kLogprobsPerStepMax = 512;
constexpr size_t kSaltBytesMax = 256;

// Accepted by us or by OpenAI, without effect here.
constexpr std::string_view kWithoutEffect[] = {
    "model",
    "user",
    "metadata",
    "store",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "moderation",
    "web_search_options",
    "prediction",
    "priority",
    "request_id",
};

// Would change the answer, and cannot be done: refused unless they ask for nothing.
constexpr std::string_view kRefused[] = {
    "use_beam_search",   "bad_words",
    "guided_choice",     "structured_outputs",
    "prompt_logprobs",   "truncate_prompt_tokens",
    "logits_processors", "include_stop_str_in_output",
};

bool asks_for_nothing(const element& value) {
  if (value.is_array()) return value.get_array().value_unsafe().size() == 0;
  if (value.is_object()) return value.get_object().value_unsafe().size() == 0;
  return value.is_bool() && !value.get_bool().value_unsafe();
}

template <size_t N>
bool contains(const std::string_view (&list)[N], std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

Status read_stop(const element& value, GenerateCall& call) {
  call.stop.clear();
  const auto add = [&](const element& item, const std::string& param) -> Status {
    SIS_ASSIGN(auto stop, text_of(item, param));
    if (stop.size() > kStopBytesMax)
      return invalid(
          concat(param, " has ", stop.size(), " bytes, at most ", kStopBytesMax, " are allowed"),
          param);
    if (!stop.empty()) call.stop.push_back(std::move(stop));
    return {};
  };
  if (value.is_string()) return add(value, "stop");
  array stops;
  if (value.get_array().get(stops))
    return unwanted("stop", "a string or an array of at most 4 strings", value);
  if (stops.size() > kStopsMax)
    return invalid(
        concat("stop has ", stops.size(), " strings, at most ", kStopsMax, " are allowed"), "stop");
  size_t at = 0;
  for (const element item : stops) SIS_TRY(add(item, concat("stop[", at++, "]")));
  return {};
}

Status check_id(int64_t id, const std::string& param, const ModelFacts& model) {
  if (id >= 0 && id < model.vocab_size) return {};
  return invalid(concat(param, ": ", in_quotes(model.name), " has tokens 0 to ",
                        model.vocab_size - 1, ", got ", id),
                 param);
}

Status read_stop_ids(const element& value, const ModelFacts& model, GenerateCall& call) {
  array ids;
  if (value.get_array().get(ids)) return unwanted("stop_token_ids", "an array of token ids", value);
  if (ids.size() > kStopIdsMax)
    return invalid(
        concat("stop_token_ids has ", ids.size(), " ids, at most ", kStopIdsMax, " are allowed"),
        "stop_token_ids");
  call.stop_ids.clear();
  for (const element item : ids) {
    const std::string param = concat("stop_token_ids[", call.stop_ids.size(), "]");
    SIS_ASSIGN(const int64_t id, whole_number(item, param, 0, kTokensMax));
    SIS_TRY(check_id(id, param, model));
    call.stop_ids.push_back(static_cast<int32_t>(id));
  }
  return {};
}

Status read_logit_bias(const element& value, const ModelFacts& model, GenerateCall& call) {
  object biases;
  if (value.get_object().get(biases))
    return unwanted("logit_bias", "an object from token ids to numbers", value);
  if (biases.size() > kBiasesMax)
    return invalid(
        concat("logit_bias has ", biases.size(), " entries, at most ", kBiasesMax, " are allowed"),
        "logit_bias");
  call.logit_bias.clear();
  for (const auto [key, bias] : biases) {
    const std::string param = concat("logit_bias.", in_quotes(key, 20));
    const auto id = parse_int(key);
    if (!id)
      return invalid(concat("logit_bias: want token ids as keys, got ", in_quotes(key)),
                     "logit_bias");
    SIS_TRY(check_id(*id, "logit_bias", model));
    SIS_ASSIGN(const float by, number(bias, param, -100, 100));
    call.logit_bias.emplace_back(static_cast<int32_t>(*id), by);
  }
  return {};
}

Status read_stream_options(const element& value, GenerateFields& fields) {
  object options;
  if (value.get_object().get(options)) return unwanted("stream_options", "an object", value);
  fields.stream_options_field = "stream_options";
  element usage;
  if (options.at_key("include_usage").get(usage) || usage.is_null()) return {};
  SIS_ASSIGN(fields.include_usage, flag(usage, "stream_options.include_usage"));
  return {};
}

Status read_service_tier(const element& value) {
  SIS_ASSIGN(const auto tier, text_of(value, "service_tier"));
  for (const char* known : {"auto", "default", "flex", "scale", "priority", "fast"})
    if (tier == known) return {};
  return unwanted("service_tier", "auto, default, flex, scale, priority or fast", value);
}

Status read_metadata(const element& value) {
  object pairs;
  if (value.get_object().get(pairs)) return unwanted("metadata", "an object", value);
  if (pairs.size() > 16)
    return invalid(concat("metadata has ", pairs.size(), " pairs, at most 16 are allowed"),
                   "metadata");
  return {};
}

Result<bool> read_sampling(std::string_view key, const element& value, GenerateCall& call) {
  if (key == "temperature") {
    SIS_ASSIGN(call.temperature, number(value, key, 0, 2));
  } else if (key == "top_p") {
    SIS_ASSIGN(const float top_p, number(value, key, 0, 1));
    // 0 is the API's way to say "the most likely one"; the sampler's share is above 0.
    call.top_p = std::max(top_p, std::numeric_limits<float>::min());
  } else if (key == "min_p") {
    SIS_ASSIGN(call.min_p, number(value, key, 0, 1));
  } else if (key == "top_k") {
    SIS_ASSIGN(const int64_t top_k, whole_number(value, key, -1, kTokensMax));
    call.top_k = static_cast<int32_t>(std::max<int64_t>(top_k, 0));  // -1: all, as vLLM says it
  } else if (key == "frequency_penalty") {
    SIS_ASSIGN(call.frequency_penalty, number(value, key, -2, 2));
  } else if (key == "presence_penalty") {
    SIS_ASSIGN(call.presence_penalty, number(value, key, -2, 2));
  } else if (key == "repetition_penalty") {
    SIS_ASSIGN(call.repetition_penalty, number(value, key, 0.01, 10));
  } else if (key == "seed") {
    const auto seed = lenient_int(value);
    if (!seed) return unwanted(key, "a whole number of 64 bits", value);
    call.seed = static_cast<uint64_t>(*seed);
  } else {
    return false;
  }
  return true;
}

}  // namespace

Error unwanted(std::string_view param, std::string_view want, const element& got) {
  std::string shown = json_kind(got);
  if (got.is_string())
    shown = in_quotes(got.get_string().value_unsafe());
  else if (!got.is_array() && !got.is_object())
    shown = simdjson::minify(got);
  return invalid(concat(param, ": want ", want, ", got ", shown), std::string(param));
}

Result<int64_t> whole_number(const element& value, std::string_view param, int64_t least,
                             int64_t most) {
  const auto read = lenient_int(value);
  if (read && *read >= least && *read <= most) return *read;
  return unwanted(param,
                  most == kTokensMax ? concat("a whole number from ", least)
                                     : concat("a whole number from ", least, " to ", most),
                  value);
}

Result<float> number(const element& value, std::string_view param, double least, double most) {
  const auto read = lenient_double(value);
  if (read && *read >= least && *read <= most) return static_cast<float>(*read);
  return unwanted(param, concat("a number from ", least, " to ", most), value);
}

Result<bool> flag(const element& value, std::string_view param) {
  if (const auto read = lenient_bool(value)) return *read;
  return unwanted(param, "true or false", value);
}

Result<std::string> text_of(const element& value, std::string_view param) {
  if (value.is_string()) return std::string(value.get_string().value_unsafe());
  return unwanted(param, "a string", value);
}

Result<bool> read_shared_field(std::string_view key, const element& value, const ModelFacts& model,
                               GenerateFields& fields) {
  GenerateCall& call = fields.call;
  SIS_ASSIGN(const bool sampling, read_sampling(key, value, call));
  if (sampling) return true;
  SIS_ASSIGN(const bool format, read_format_field(key, value, fields));
  if (format) return true;
  if (key == "n") {
    SIS_ASSIGN(const int64_t n, whole_number(value, key, 1, 128));
    call.choices = static_cast<int32_t>(n);
  } else if (key == "min_tokens") {
    SIS_ASSIGN(const int64_t tokens, whole_number(value, key, 0, kTokensMax));
    call.tokens_min = static_cast<int32_t>(tokens);
  } else if (key == "stop") {
    SIS_TRY(read_stop(value, call));
  } else if (key == "stop_token_ids") {
    SIS_TRY(read_stop_ids(value, model, call));
  } else if (key == "ignore_eos") {
    SIS_ASSIGN(call.ignore_eos, flag(value, key));
  } else if (key == "skip_special_tokens") {
    SIS_ASSIGN(call.skip_special_tokens, flag(value, key));
  } else if (key == "logit_bias") {
    SIS_TRY(read_logit_bias(value, model, call));
  } else if (key == "stream") {
    SIS_ASSIGN(fields.stream, flag(value, key));
  } else if (key == "stream_options") {
    SIS_TRY(read_stream_options(value, fields));
  } else if (key == "cache_salt") {
    SIS_ASSIGN(call.cache_salt, text_of(value, key));
    if (call.cache_salt.size() > kSaltBytesMax)
      return invalid(concat("cache_salt has ", call.cache_salt.size(), " bytes, at most ",
                            kSaltBytesMax, " are allowed"),
                     "cache_salt");
  } else if (key == "timeout") {
    SIS_ASSIGN(fields.timeout, read_timeout_field(value));
  } else if (key == "service_tier") {
    SIS_TRY(read_service_tier(value));
  } else if (key == "metadata") {
    SIS_TRY(read_metadata(value));
  } else if (contains(kRefused, key)) {
    if (!asks_for_nothing(value))
      return invalid(concat(key, " is not supported"), std::string(key));
  } else if (!contains(kWithoutEffect, key)) {
    return false;
  }
  return true;
}

Status check_shared_fields(const ModelFacts& model, const GenerateFields& fields) {
  const GenerateCall& call = fields.call;
  if (!fields.stream_options_field.empty() && !fields.stream)
    return invalid("stream_options wants stream to be true", "stream_options");
  if (call.tokens_max && call.tokens_min > *call.tokens_max)
    return invalid(concat("min_tokens: want at most the ", *call.tokens_max,
                          " tokens allowed, got ", call.tokens_min),
                   "min_tokens");
  if (!fields.format_field.empty() && !model.structured_outputs)
    return invalid(concat("model ", in_quotes(model.name), " does not support response_format",
                          fields.format_field == "response_format"
                              ? std::string()
                              : concat(", which ", fields.format_field, " is a form of"),
                          " (supports_structured_outputs in the catalog)"),
                   fields.format_field);
  return {};
}

Status check_logprob_count(int64_t prompts, const char* param, const GenerateCall& call) {
  const int64_t count = prompts * call.choices * (int64_t{call.logprobs} + 1);
  if (count <= kLogprobsPerStepMax) return {};
  return invalid(
      concat(param, ": ", prompts * call.choices, " choices of ", call.logprobs + 1,
             " logprobs per token each, at most ", kLogprobsPerStepMax, " are allowed together"),
      param);
}

}  // namespace sis::api
