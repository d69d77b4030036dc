#include "infer/engine/sampler_passes_body.h"

namespace sis::engine {

extern const SamplerPasses kSamplerPassesAvx512;
const SamplerPasses kSamplerPassesAvx512 = kPasses;

}  // namespace sis::engine
