// Bidirectional multi-head attention of one sequence, in blocks of queries.
//
//   p[i,j]      = softmax_j(scale * q[i,:]·k[j,:])           per head, i and j in the same sequence
//   out[i,c]    = sum_j p[i,j] * v[j,c]
//
//   qkv [tokens, 3 * heads * head_dim]  rows of one sequence: q, k, v side by side, head h at h *
//   head_dim out [tokens, heads * head_dim]      may not overlap qkv
//
// Scores, exponentials and sums are f32. The bf16 variants with matrix instructions round p
// (unnormalised, at most 1) to bf16 before the second product, as flash attention does on GPUs.
// Keys are visited in blocks with a running maximum (Milakov and Gimelshein, arXiv 1805.02867), so
// scratch does not grow with length.
//
// The unit of work is a block of kAttentionQueries queries of one head; blocks are numbered head by
// head. A block's result depends on its sequence alone: not on which blocks are computed together,
// nor where.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer/kernels/isa.h"
#include "infer/tensor/dtype.h"

namespace sis::kernels {

inline constexpr int kAttentionQueries = 32;
inline constexpr int kAttentionHeadDimMax = 256;

template <class T>
struct AttentionSequence {
  const T* qkv = nullptr;  // row of the first token
  int64_t qkv_stride = 0;  // elements between tokens
  T* out = nullptr;
  int64_t out_stride = 0;
  int tokens = 0;
  int heads = 0;
  int head_dim = 0;
  float scale = 1;  // above 0
};

// Computes blocks [first, last) of heads * ceil(tokens / kAttentionQueries).
// `scratch`: attention_scratch_bytes(head_dim), 64-byte aligned, contents do not matter.
template <class T>
using AttentionFn = void (*)(const AttentionSequence<T>& sequence, int64_t first, int64_t last,
                             std::byte* scratch);

// Enough for every variant and any number of tokens.
size_t attention_scratch_bytes(int head_dim);

namespace ref {
void attention(const AttentionSequence<float>&, int64_t, int64_t, std::byte*);
void attention(const AttentionSequence<bf16>&, int64_t, int64_t, std::byte*);
}  // namespace ref
namespace avx2 {
void attention(const AttentionSequence<float>&, int64_t, int64_t, std::byte*);
void attention(const AttentionSequence<bf16>&, int64_t, int64_t, std::byte*);
}  // namespace avx2
namespace avx512 {
void attention(const AttentionSequence<float>&, int64_t, int64_t, std::byte*);
void attention(const AttentionSequence<bf16>&, int64_t, int64_t, std::byte*);
}  // namespace avx512
namespace avx512_bf16 {
void attention(const AttentionSequence<bf16>&, int64_t, int64_t, std::byte*);
}
namespace amx {
void attention(const AttentionSequence<bf16>&, int64_t, int64_t, std::byte*);
}

inline constexpr Variant<AttentionFn<float>> kAttentionF32[] = {
#if defined(__x86_64__)
    {"avx512", Isa::kAvx512, avx512::attention},
    {"avx2", Isa::kAvx2, avx2::attention},
#endif
    {"ref", Isa::kRef, ref::attention},
};
inline constexpr Variant<AttentionFn<bf16>> kAttentionBf16[] = {
#if defined(__x86_64__)
    {"amx", Isa::kAmx, amx::attention},
    {"avx512_bf16", Isa::kAvx512Bf16, avx512_bf16::attention},
    {"avx512", Isa::kAvx512, avx512::attention},
    {"avx2", Isa::kAvx2, avx2::attention},
#endif
    {"ref", Isa::kRef, ref::attention},
};

}  // namespace sis::kernels
