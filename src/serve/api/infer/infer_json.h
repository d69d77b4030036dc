// POST /v1/infer and /v1/infer/stream: the body's JSON to a native request.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "serve/api/idempotency.h"
#include "serve/api/openai/chat_json.h"
#include "serve/tasks/generate.h"

namespace sis::api {

struct InferLimits {
  int64_t prompt_chars_max = 8192;
  int64_t tokens_max = 4096;  // of params.max_new_tokens; more is refused
  int32_t tokens_default = 512;
};

struct InferCall {
  std::string model;
  tasks::GenerateCall call;
  std::string prompt, params;   // as they came; params with their keys in order
  std::string idempotency_key;  // empty: none
  Sha256 digest{};              // of model, prompt and params, whatever the order of their keys
};

// `model`, `prompt` and what `params` and `idempotency_key` may hold; other fields are ignored, and
// so are params nobody knows. The prompt is a user's message where the model has a chat template,
// unless params.raw is true, else a text to go on with. Faults are kInvalidArgument with the field
// in `param`, such as "params.top_p". `body` is valid for reads up to 64 bytes past its end.
Result<InferCall> parse_infer(std::string_view body, const InferLimits& limits,
                              const FindModel& find_model);

}  // namespace sis::api
