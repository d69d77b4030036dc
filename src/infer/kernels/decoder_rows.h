// The row-wise kernels of decoders: RMS norm, embedding, rotation into the cache.
//
// Each function works on the rows it is given; the caller splits them over workers. A row's result
// depends on that row alone. Sums are f32, bf16 results are rounded to nearest even. Rows may have
// any width and any alignment; nothing behind their ends is touched.
#pragma once

#include <cstdint>

#include "infer/kernels/gemm.h"
#include "infer/kernels/isa.h"
#include "infer/kernels/kv_layout.h"
#include "infer/tensor/mat.h"

namespace sis::kernels {

// v = x[r,c] * scale[c] / sqrt(mean(x[r,:]^2) + eps)
//
//   add false   y[r,c] = v and low[r,c] = v in bf16; either may be empty, y may be x
//   add true    y[r,c] += v
struct RmsNormArgs {
  Mat<const float> x;
  const float* scale = nullptr;
  float eps = 0;
  Mat<float> y;
  Mat<bf16> low;
  bool add = false;
};
using RmsNormFn = void (*)(const RmsNormArgs& args, int64_t begin, int64_t end);

// y[t,:] = table[ids[t],:] * factor. The table may lie at the end of a mapped file.
struct EmbedTokensArgs {
  const int32_t* ids = nullptr;
  WeightView table;
  float factor = 1;
  Mat<float> y;
};
using EmbedTokensFn = void (*)(const EmbedTokensArgs& args, int64_t begin, int64_t end);

// Rows of one sequence: q, k, v heads side by side. Norm and rotation of q (in place) and k, then k
// and v into the cache; the formulas are in ops/decoder_ops.h. Angles are products in f32 of
// position and frequency, as checkpoints were trained with; sine and cosine are good to an ulp
// however large the angle.
//
// All positions of one block belong to one call: they share cache lines and even words.
template <class T>
struct RotateArgs {
  T* qkv = nullptr;      // row 0
  int64_t stride = 0;    // elements between rows
  int32_t position = 0;  // of row 0
  const int32_t* blocks = nullptr;
  KvLayer cache;
  int32_t heads = 0;
  const float* q_norm = nullptr;  // [head_dim] or null
  const float* k_norm = nullptr;
  float eps = 0;
  const float* inverse_frequency = nullptr;
  int32_t frequencies = 0;  // at most head_dim / 2
  float rope_factor = 1;
};
template <class T>
using RotateFn = void (*)(const RotateArgs<T>& args, int64_t begin, int64_t end);

inline constexpr int kDecoderHeadDimMax = 256;

#define SIS_DECODER_ROWS_VARIANT(name)                         \
  namespace name {                                             \
  void rms_norm(const RmsNormArgs&, int64_t, int64_t);         \
  void embed_tokens(const EmbedTokensArgs&, int64_t, int64_t); \
  void rotate(const RotateArgs<float>&, int64_t, int64_t);     \
  void rotate(const RotateArgs<bf16>&, int64_t, int64_t);      \
  }
SIS_DECODER_ROWS_VARIANT(ref)
SIS_DECODER_ROWS_VARIANT(avx2)
SIS_DECODER_ROWS_VARIANT(avx512)
#undef SIS_DECODER_ROWS_VARIANT
namespace avx512_bf16 {  // where numbers are rounded to bf16
void rms_norm(const RmsNormArgs&, int64_t, int64_t);
void rotate(const RotateArgs<bf16>&, int64_t, int64_t);
}  // namespace avx512_bf16

#if defined(__x86_64__)
#define SIS_DECODER_ROWS_TABLE(function)                                              \
  {"avx512", Isa::kAvx512, avx512::function}, {"avx2", Isa::kAvx2, avx2::function}, { \
    "ref", Isa::kRef, ref::function                                                   \
  }
#define SIS_DECODER_BF16_ROWS_TABLE(function) \
  {"avx512_bf16", Isa::kAvx512Bf16, avx512_bf16::function}, SIS_DECODER_ROWS_TABLE(function)
#else
#define SIS_DECODER_ROWS_TABLE(function) \
  { "ref", Isa::kRef, ref::function }
#define SIS_DECODER_BF16_ROWS_TABLE(function) SIS_DECODER_ROWS_TABLE(function)
#endif
inline constexpr Variant<RmsNormFn> kRmsNorm[] = {SIS_DECODER_BF16_ROWS_TABLE(rms_norm)};
inline constexpr Variant<EmbedTokensFn> kEmbedTokens[] = {SIS_DECODER_ROWS_TABLE(embed_tokens)};
template <class T>
inline constexpr Variant<RotateFn<T>> kRotate[] = {SIS_DECODER_ROWS_TABLE(rotate)};
template <>
inline constexpr Variant<RotateFn<bf16>> kRotate<bf16>[] = {SIS_DECODER_BF16_ROWS_TABLE(rotate)};
#undef SIS_DECODER_BF16_ROWS_TABLE
#undef SIS_DECODER_ROWS_TABLE

}  // namespace sis::kernels
