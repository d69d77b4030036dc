#include "infer/kernels/cpu/attention_pairs.h"

namespace sis::kernels::avx512_bf16 {

void attention(const AttentionSequence<bf16>& s, int64_t first, int64_t last, std::byte* scratch) {
  attend_blocks<PairNumbers, 8>(s, first, last, scratch);
}

}  // namespace sis::kernels::avx512_bf16
