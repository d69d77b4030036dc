#include "infer/engine/submit_check.h"

#include "base/strings.h"
#include "infer/engine/sampler.h"

namespace sis::engine {
namespace {

Error refused(const char* param, std::string message) {
  return {.code = Code::kInvalidArgument, .message = concat(param, ": ", message), .param = param};
}

Status check_range(const char* param, int32_t value, int32_t least, int32_t most) {
  if (value >= least && value <= most) return {};
  return refused(param, concat("want ", least, " to ", most, ", got ", value));
}

Status check_ids(const char* param, std::span<const int32_t> ids, int32_t vocab) {
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= vocab)
      return refused(
          param, concat("want token ids from 0 to ", vocab - 1, ", got ", ids[i], " at place ", i));
  return {};
}

}  // namespace

Status check_request(const GenerateRequest& request, int32_t vocab, int32_t context_max) {
  if (request.prompt.empty()) return refused("prompt", "want at least one token, got none");
  // A sequence must have room for what it generates, be it one token.
  const int32_t prompt_max = request.tokens_max > 0 ? context_max - 1 : context_max;
  if (request.prompt.size() > static_cast<size_t>(prompt_max)) {
    Error error = refused("prompt", concat("want at most ", prompt_max, " tokens in a context of ",
                                           context_max, ", got ", request.prompt.size()));
    error.reason = "context_length_exceeded";
    return error;
  }
  SIS_TRY(check_ids("prompt", request.prompt, vocab));
  SIS_TRY(check_range("tokens_max", request.tokens_max, 0, INT32_MAX));
  SIS_TRY(check_range("tokens_min", request.tokens_min, 0, INT32_MAX));
  SIS_TRY(check_range("choices", request.choices, 1, kChoicesMax));
  SIS_TRY(check_range("logprobs", request.logprobs, -1, kLogprobsMax));
  SIS_TRY(check_ids("stop_ids", request.stop_ids, vocab));
  return check_sampling(request.sampling, vocab);
}

}  // namespace sis::engine
