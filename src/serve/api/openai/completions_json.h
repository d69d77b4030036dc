// POST /v1/completions: the body's JSON to native requests, one per prompt.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/api/openai/chat_json.h"

namespace sis::api {

struct CompletionLimits {
  int64_t prompts_max = 32;
  bool strict_fields = false;  // unknown fields are refused
};

struct CompletionCall {
  std::string model;
  GenerateFields fields;                   // for all prompts
  std::vector<tasks::GenerateCall> calls;  // `fields.call` with one prompt each
  bool echo = false;
};

// As parse_chat_call(). `logprobs` of the calls is the field's number, -1 without; with echo the
// prompt's are asked for too.
Result<CompletionCall> parse_completion_call(std::string_view body, const CompletionLimits& limits,
                                             const FindModel& find_model);

}  // namespace sis::api
