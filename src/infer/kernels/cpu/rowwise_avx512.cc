#include "infer/kernels/cpu/simd_avx512.h"

#include "infer/kernels/cpu/rowwise_blocks.h"

namespace sis::kernels::avx512 {

void layer_norm(const LayerNormArgs& args, int64_t begin, int64_t end) {
  layer_norm_rows(args, begin, end);
}
void embed_rows(const EmbedRowsArgs& args, int64_t begin, int64_t end) {
  embed_some_rows(args, begin, end);
}
void fold_rows(const FoldRowsArgs& args, int64_t begin, int64_t end) {
  fold_some_rows(args, begin, end);
}
void normalise_rows(Mat<float> x, int64_t begin, int64_t end) {
  normalise_some_rows(x, begin, end);
}

}  // namespace sis::kernels::avx512
