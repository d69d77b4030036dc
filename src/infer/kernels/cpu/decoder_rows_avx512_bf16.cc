#include "infer/kernels/cpu/simd_avx512.h"

#include "infer/kernels/cpu/decoder_rows_blocks.h"
#include "infer/kernels/cpu/rotate_blocks.h"

namespace sis::kernels::avx512_bf16 {

void rms_norm(const RmsNormArgs& a, int64_t begin, int64_t end) { rms_norm_rows(a, begin, end); }
void rotate(const RotateArgs<bf16>& a, int64_t begin, int64_t end) {
  rotate_some_rows(a, begin, end);
}

}  // namespace sis::kernels::avx512_bf16
