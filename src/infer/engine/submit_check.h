// What a generator refuses before anything is computed.
#pragma once

#include "infer/engine/generator.h"

namespace sis::engine {

inline constexpr int32_t kChoicesMax = 128;
inline constexpr int32_t kLogprobsMax = 32;

// kInvalidArgument with `param`; a prompt too long also has the reason "context_length_exceeded".
Status check_request(const GenerateRequest& request, int32_t vocab, int32_t context_max);

}  // namespace sis::engine
