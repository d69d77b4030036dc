#include "infer/kernels/cpu/simd_avx512.h"

#include "infer/kernels/cpu/attention_blocks.h"

namespace sis::kernels::avx512 {

void attention(const AttentionSequence<float>& s, int64_t first, int64_t last, std::byte* scratch) {
  attend_blocks<F32Numbers<float>, 8>(s, first, last, scratch);
}
void attention(const AttentionSequence<bf16>& s, int64_t first, int64_t last, std::byte* scratch) {
  attend_blocks<F32Numbers<bf16>, 8>(s, first, last, scratch);
}

}  // namespace sis::kernels::avx512
