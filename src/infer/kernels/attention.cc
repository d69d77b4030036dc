#include "infer/kernels/attention.h"

#include "infer/kernels/attention_scratch.h"

namespace sis::kernels {

size_t attention_scratch_bytes(int head_dim) { return attention_layout(head_dim).bytes; }

}  // namespace sis::kernels
