// Kernels that treat every row by itself: layer norm, embedding look-up, pooling, length.
//
// Each function works on the rows or columns it is given; the caller splits them over workers. An
// output element is computed in an order that does not depend on that split. Sums are f32, bf16
// results are rounded to nearest even. Rows may have any width and any alignment.
#pragma once

#include <cstdint>

#include "infer/kernels/isa.h"
#include "infer/tensor/mat.h"

namespace sis::kernels {

// y[r,c] = (x[r,c] - mean(x[r,:])) / sqrt(var(x[r,:]) + eps) * gamma[c] + beta[c]      (biased
// variance)
//
//   x, y  [rows, cols]  y may be x
//   low   [rows, cols]  y again, in bf16; empty: not wanted
//
// The mean first, then the variance around it: one pass would lose digits where |mean| is large.
struct LayerNormArgs {
  Mat<const float> x;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  float eps = 0;
  Mat<float> y;
  Mat<bf16> low;
};
using LayerNormFn = void (*)(const LayerNormArgs& args, int64_t begin, int64_t end);

// y[t,:] = word[ids[t],:] + position[positions[t],:] + type[types[t],:]          in this order, f32
//
// The tables may be of any float type at any address; nothing outside the rows is read, so that
// they may lie at the end of a mapped file. Ids and positions are inside their tables: the caller
// looked.
struct EmbedRowsArgs {
  const int32_t* ids = nullptr;
  const int32_t* positions = nullptr;
  const int32_t* types = nullptr;   // null: all 0
  WeightView word, position, type;  // type may be empty
  Mat<float> y;
};
using EmbedRowsFn = void (*)(const EmbedRowsArgs& args, int64_t begin, int64_t end);

// Column by column over the rows of one sequence, columns [begin, end):
//   kSum  out[c] = factor * sum_t x[t,c], t ascending         kMax  out[c] = max_t x[t,c]
enum class Fold : uint8_t { kSum, kMax };
struct FoldRowsArgs {
  Mat<const float> x;  // at least one row
  Fold fold = Fold::kSum;
  float factor = 1;
  float* out = nullptr;
};
using FoldRowsFn = void (*)(const FoldRowsArgs& args, int64_t begin, int64_t end);

// x[r,:] /= sqrt(sum(x[r,:]^2)); a row of zeros stays zero. Scaled by the largest magnitude first,
// so that the squares neither overflow nor vanish.
using NormaliseRowsFn = void (*)(Mat<float> x, int64_t begin, int64_t end);

#define SIS_ROWWISE_VARIANT(name)                          \
  namespace name {                                         \
  void layer_norm(const LayerNormArgs&, int64_t, int64_t); \
  void embed_rows(const EmbedRowsArgs&, int64_t, int64_t); \
  void fold_rows(const FoldRowsArgs&, int64_t, int64_t);   \
  void normalise_rows(Mat<float>, int64_t, int64_t);       \
  }
SIS_ROWWISE_VARIANT(ref)
SIS_ROWWISE_VARIANT(avx2)
SIS_ROWWISE_VARIANT(avx512)
#undef SIS_ROWWISE_VARIANT

#if defined(__x86_64__)
#define SIS_ROWWISE_TABLE(function)                                                   \
  {"avx512", Isa::kAvx512, avx512::function}, {"avx2", Isa::kAvx2, avx2::function}, { \
    "ref", Isa::kRef, ref::function                                                   \
  }
#else
#define SIS_ROWWISE_TABLE(function) \
  { "ref", Isa::kRef, ref::function }
#endif
inline constexpr Variant<LayerNormFn> kLayerNorm[] = {SIS_ROWWISE_TABLE(layer_norm)};
inline constexpr Variant<EmbedRowsFn> kEmbedRows[] = {SIS_ROWWISE_TABLE(embed_rows)};
inline constexpr Variant<FoldRowsFn> kFoldRows[] = {SIS_ROWWISE_TABLE(fold_rows)};
inline constexpr Variant<NormaliseRowsFn> kNormaliseRows[] = {SIS_ROWWISE_TABLE(normalise_rows)};
#undef SIS_ROWWISE_TABLE

}  // namespace sis::kernels
