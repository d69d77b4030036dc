#include "infer/kernels/cached_attention.h"

#include "infer/kernels/cached_attention_scratch.h"

namespace sis::kernels {

size_t cached_attention_scratch_bytes(int head_dim) {
  return cached_scratch((head_dim + 31) / 32 * 32).bytes;
}

}  // namespace sis::kernels
