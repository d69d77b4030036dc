// From what a client asked, with the defaults, to what the engine does.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "infer/engine/generator.h"
#include "serve/tasks/generate.h"

namespace sis::tasks {

// What can be said before there is a prompt: values out of range, too many or too long of anything.
// kInvalidArgument with the field in `param`.
Status check_call(const GenerateCall& call);

struct GenerateLimits {
  int32_t context = 0;  // tokens of prompt and answer together
  std::vector<int32_t> eos_ids;
  uint64_t drawn_seed = 0;  // where the call has none
};

// Most tokens that the prompt of this call may have, in a context of so many.
int32_t prompt_tokens_max(const GenerateCall& call, const GenerateDefaults& defaults,
                          int32_t context);
// Texts are encoded as far as this many times that: a prompt so much too long is not counted to its
// end.
inline constexpr int32_t kPromptCountedTimes = 4;
// kInvalidArgument (reason "context_length_exceeded"): a text so long that it cannot be tokens of
// any vocabulary in that number. Costs nothing, where encoding takes memory many times the text.
Status check_prompt_bytes(const GenerateCall& call, size_t bytes, const GenerateDefaults& defaults,
                          int32_t context);
// kInvalidArgument: no tokens, or more than that (reason "context_length_exceeded").
Status check_prompt_tokens(const GenerateCall& call, size_t tokens,
                           const GenerateDefaults& defaults, int32_t context);

// `prompt`: its tokens. Errors as check_prompt_tokens() has them. The grammar is the caller's to
// add.
Result<engine::GenerateRequest> make_engine_request(const GenerateCall& call,
                                                    std::vector<int32_t> prompt,
                                                    const GenerateDefaults& defaults,
                                                    const GenerateLimits& limits);

}  // namespace sis::tasks
