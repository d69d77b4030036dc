#include "serve/tasks/generate_request.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "infer/engine/submit_check.h"

namespace sis::tasks {
namespace {

constexpr int32_t kChoicesMax = 128;
constexpr size_t kStopsMax = 64, kStopBytesMax = 4096, kStopIdsMax = 1024, kBiasesMax = 4096,
                 kToolsMax = 256, kToolNameMax = 256, kToolParametersBytesMax = 1 << 20;
// Of top_p 0, which means the most likely token alone.
constexpr float kTopPLeast = 1e-6f;

Error invalid(std::string message, std::string param) {
  return {Code::kInvalidArgument, std::move(message), std::move(param)};
}

Status check_range(const char* name, const std::optional<float>& value, float least, float most) {
  if (!value || (*value >= least && *value <= most)) return {};
  return invalid(concat(name, ": want a number from ", least, " to ", most, ", got ", *value),
                 name);
}

Status check_count(const char* name, size_t count, size_t most) {
  if (count <= most) return {};
  return invalid(concat(name, ": want at most ", most, " entries, got ", count), name);
}

Status check_sampling(const GenerateCall& call) {
  constexpr float kMost = 1e4f;
  SIS_TRY(check_range("temperature", call.temperature, 0, 100));
  SIS_TRY(check_range("top_p", call.top_p, 0, 1));
  SIS_TRY(check_range("min_p", call.min_p, 0, 1));
  SIS_TRY(check_range("frequency_penalty", call.frequency_penalty, -kMost, kMost));
  SIS_TRY(check_range("presence_penalty", call.presence_penalty, -kMost, kMost));
  SIS_TRY(check_range("repetition_penalty", call.repetition_penalty, 1e-4f, kMost));
  if (call.top_k && *call.top_k < -1)
    return invalid(concat("top_k: want a number of tokens, 0 or -1 for all, got ", *call.top_k),
                   "top_k");
  SIS_TRY(check_count("logit_bias", call.logit_bias.size(), kBiasesMax));
  for (const auto& [id, bias] : call.logit_bias)
    if (!std::isfinite(bias) || id < 0)
      return invalid(concat("logit_bias: token id ", id, " with bias ", bias), "logit_bias");
  return {};
}

}  // namespace

Status check_call(const GenerateCall& call) {
  SIS_TRY(check_sampling(call));
  if (call.tokens_max && *call.tokens_max < 0)
    return invalid(concat("max_tokens: want 0 or more, got ", *call.tokens_max), "max_tokens");
  if (call.tokens_min < 0)
    return invalid(concat("min_tokens: want 0 or more, got ", call.tokens_min), "min_tokens");
  if (call.choices < 1 || call.choices > kChoicesMax)
    return invalid(concat("n: want 1 to ", kChoicesMax, ", got ", call.choices), "n");
  if (call.logprobs < -1 || call.logprobs > engine::kLogprobsMax)
    return invalid(
        concat("top_logprobs: want at most ", engine::kLogprobsMax, ", got ", call.logprobs),
        "top_logprobs");
  SIS_TRY(check_count("stop", call.stop.size(), kStopsMax));
  for (const auto& stop : call.stop)
    if (stop.size() > kStopBytesMax || !is_utf8(stop))
      return invalid(concat("stop: want UTF-8 texts of at most ", kStopBytesMax, " bytes, got ",
                            in_quotes(stop)),
                     "stop");
  SIS_TRY(check_count("stop_token_ids", call.stop_ids.size(), kStopIdsMax));
  SIS_TRY(check_count("tools", call.tools.size(), kToolsMax));
  for (size_t i = 0; i < call.tools.size(); ++i) {
    const Tool& tool = call.tools[i];
    if (tool.name.empty() || tool.name.size() > kToolNameMax)
      return invalid(concat("tools[", i, "].function.name: want 1 to ", kToolNameMax, " bytes"),
                     concat("tools[", i, "].function.name"));
    if (tool.parameters.size() > kToolParametersBytesMax)
      return invalid(concat("tools[", i, "].function.parameters: want at most ",
                            kToolParametersBytesMax, " bytes, got ", tool.parameters.size()),
                     concat("tools[", i, "].function.parameters"));
  }
  if (call.tool_choice == ToolChoice::kRequired && call.tools.empty())
    return invalid("tool_choice: a call is required, but there are no tools", "tool_choice");
  // A response format speaks of content, of which there is none then; what guides speaks of all.
  if (call.tool_choice == ToolChoice::kRequired &&
      call.format.kind != ResponseFormat::Kind::kText && !call.format.field.empty() &&
      !call.format.field.starts_with("response_format"))
    return invalid(concat(call.format.field, ": excludes tool_choice, which requires a call"),
                   call.format.field);
  return {};
}

int32_t prompt_tokens_max(const GenerateCall& call, const GenerateDefaults& defaults,
                          int32_t context) {
  // A token of the answer needs room as well, unless the prompt is only scored.
  return std::min(defaults.prompt_tokens_max, context - (call.tokens_max == 0 ? 0 : 1));
}

Status check_prompt_bytes(const GenerateCall& call, size_t bytes, const GenerateDefaults& defaults,
                          int32_t context) {
  constexpr size_t kTokenBytesMax = 256;  // twice the longest one seen, 128 spaces
  const auto most = static_cast<size_t>(std::max(1, prompt_tokens_max(call, defaults, context)));
  if (bytes <= most * kTokenBytesMax) return {};
  const char* param = call.chat ? "messages" : "prompt";
  return Error{Code::kInvalidArgument,
               concat(param, ": the prompt has ", bytes, " bytes, at least ",
                      (bytes + kTokenBytesMax - 1) / kTokenBytesMax,
                      " tokens, this model takes at most ", most),
               param, "context_length_exceeded"};
}

Status check_prompt_tokens(const GenerateCall& call, size_t tokens,
                           const GenerateDefaults& defaults, int32_t context) {
  const char* param = call.chat ? "messages" : "prompt";
  if (tokens == 0) return invalid(concat(param, ": the prompt has no tokens"), param);
  const int32_t most = prompt_tokens_max(call, defaults, context);
  if (static_cast<int64_t>(tokens) <= most) return {};
  const bool counted =
      call.prompt_is_ids || static_cast<int64_t>(tokens) < int64_t{kPromptCountedTimes} * most;
  return Error{Code::kInvalidArgument,
               concat(param, ": the prompt has ", counted ? "" : "at least ", tokens,
                      " tokens, this model takes at most ", most),
               param, "context_length_exceeded"};
}

Result<engine::GenerateRequest> make_engine_request(const GenerateCall& call,
                                                    std::vector<int32_t> prompt,
                                                    const GenerateDefaults& defaults,
                                                    const GenerateLimits& limits) {
  SIS_TRY(check_prompt_tokens(call, prompt.size(), defaults, limits.context));
  const auto tokens = static_cast<int32_t>(prompt.size());

  engine::GenerateRequest request;
  request.tokens_max = std::min({call.tokens_max.value_or(defaults.tokens_max),
                                 defaults.tokens_ceiling, limits.context - tokens});
  request.tokens_min = std::min(call.tokens_min, request.tokens_max);
  request.prompt = std::move(prompt);
  request.choices = call.choices;
  engine::Sampling& sampling = request.sampling;
  sampling.temperature = call.temperature.value_or(defaults.temperature);
  sampling.top_p = std::max(call.top_p.value_or(defaults.top_p), kTopPLeast);
  sampling.top_k = std::max(call.top_k.value_or(defaults.top_k), 0);
  sampling.min_p = call.min_p.value_or(defaults.min_p);
  sampling.frequency_penalty = call.frequency_penalty.value_or(0);
  sampling.presence_penalty = call.presence_penalty.value_or(0);
  sampling.repetition_penalty = call.repetition_penalty.value_or(defaults.repetition_penalty);
  sampling.logit_bias = call.logit_bias;
  sampling.seed = call.seed.value_or(limits.drawn_seed);
  request.eos_ids = limits.eos_ids;
  request.stop_ids = call.stop_ids;
  request.ignore_eos = call.ignore_eos;
  request.logprobs = call.logprobs;
  request.prompt_logprobs = call.prompt_logprobs;
  request.cache_salt = call.cache_salt;
  return request;
}

}  // namespace sis::tasks
