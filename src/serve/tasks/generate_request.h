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

// `prompt`: its tokens. kInvalidArgument: no tokens, or more than there is room for (reason
// "context_length_exceeded"). The grammar is the caller's to add.
Result<engine::GenerateRequest> make_engine_request(const GenerateCall& call,
                                                    std::vector<int32_t> prompt,
                                                    const GenerateDefaults& defaults,
                                                    const GenerateLimits& limits);

}  // namespace sis::tasks
