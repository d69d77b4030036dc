#include "infer/kernels/cpu/simd_avx2.h"

#include "infer/kernels/cpu/attention_blocks.h"

namespace sis::kernels::avx2 {

void attention(const AttentionSequence<float>& s, int64_t first, int64_t last, std::byte* scratch) {
  attend_blocks<F32Numbers<float>, 4>(s, first, last, scratch);
}
void attention(const AttentionSequence<bf16>& s, int64_t first, int64_t last, std::byte* scratch) {
  attend_blocks<F32Numbers<bf16>, 4>(s, first, last, scratch);
}

}  // namespace sis::kernels::avx2
