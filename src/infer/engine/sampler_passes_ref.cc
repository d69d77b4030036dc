#include "infer/engine/sampler_passes_body.h"

namespace sis::engine {

extern const SamplerPasses kSamplerPassesRef;
const SamplerPasses kSamplerPassesRef = kPasses;

}  // namespace sis::engine
