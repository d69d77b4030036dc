#include "infer/kernels/cached_attention.h"

namespace sis::kernels {

size_t cached_attention_scratch_bytes(int) { return 64; }

}  // namespace sis::kernels
