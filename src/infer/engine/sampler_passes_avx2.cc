#include "infer/engine/sampler_passes_body.h"

namespace sis::engine {

extern const SamplerPasses kSamplerPassesAvx2;
const SamplerPasses kSamplerPassesAvx2 = kPasses;

}  // namespace sis::engine
