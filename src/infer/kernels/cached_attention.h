// Attention of one sequence's new tokens over one key/value head of a paged cache.
//
// A row is one query head of one token; all query heads of the key/value head are rows of one call,
// token by token, so that the cache is read once for them. Keys are cut into spans of kSpanKeys
// positions, at absolute multiples. A span's partial result (running maximum, sum of weights,
// weighted values) starts from nothing, and partial results are merged in order of position.
// What a row comes out as thus depends neither on which rows share a call nor on who computed
// which span: spans that a row does not see change nothing.
//
// Scores, exponentials and sums are f32; variants with bf16 products round the weights (at most 1,
// times the value's scale where the cache is int8) to bf16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer/kernels/isa.h"
#include "infer/kernels/kv_layout.h"

namespace sis::kernels {

inline constexpr int kSpanKeys = 1024;
inline constexpr int kCachedRowsMax = 512;  // rows of a call: tokens * group
inline constexpr int kCachedHeadDimMax = 256;

template <class T>
struct CachedRows {
  const T* q = nullptr;  // first token, first of the head's queries; `group` heads side by side
  int64_t q_stride = 0;  // elements between tokens
  T* out = nullptr;
  int64_t out_stride = 0;
  KvLayer cache;  // data: at the head
  const int32_t* blocks = nullptr;
  int32_t group = 1;     // query heads
  int32_t tokens = 0;    // rows are tokens * group
  int32_t position = 0;  // of the first token
  int32_t keys = 0;      // positions that exist: blocks has ceil(keys / 32) entries
  float scale = 1;
  bool causal = true;
  int32_t window = 0;  // 0: none
  // The blocks (at their heads) that this worker's next call begins with, or null: may be fetched
  // early.
  const std::byte* after[4] = {};
};

template <class T>
struct CachedAttention {
  // Spans [first, last) for all rows. With `partials` null these must be all spans that any row
  // sees, and the result goes to out; otherwise span s leaves its partial result at partials + (s -
  // first) * partial_floats(rows, dim_padded).
  // `scratch`: cached_attention_scratch_bytes(head_dim), 64-byte aligned, contents do not matter.
  void (*attend)(const CachedRows<T>& rows, int32_t first, int32_t last, float* partials,
                 std::byte* scratch);
  // Merges `spans` partial results in order and writes out.
  void (*finish)(const CachedRows<T>& rows, int32_t spans, float* partials);
};

// A partial result: maxima [rows], sums of weights [rows], weighted values [rows, dim_padded]; rows
// rounded up to 32.
constexpr int64_t partial_floats(int64_t rows, int64_t dim_padded) {
  return (rows + 31) / 32 * 32 * (dim_padded + 2);
}
size_t cached_attention_scratch_bytes(int head_dim);

#define SIS_CACHED_ATTENTION_VARIANT(name)        \
  namespace name {                                \
  extern const CachedAttention<float> kCachedF32; \
  extern const CachedAttention<bf16> kCachedBf16; \
  }
SIS_CACHED_ATTENTION_VARIANT(ref)
SIS_CACHED_ATTENTION_VARIANT(avx2)
SIS_CACHED_ATTENTION_VARIANT(avx512)
#undef SIS_CACHED_ATTENTION_VARIANT
namespace avx512_bf16 {
extern const CachedAttention<bf16> kCachedBf16;
}
namespace amx {
extern const CachedAttention<bf16> kCachedBf16;
}

template <class T>
using CachedVariant = Variant<const CachedAttention<T>*>;

inline constexpr CachedVariant<float> kCachedAttentionF32[] = {
#if defined(__x86_64__)
    {"avx512", Isa::kAvx512, &avx512::kCachedF32},
    {"avx2", Isa::kAvx2, &avx2::kCachedF32},
#endif
    {"ref", Isa::kRef, &ref::kCachedF32},
};
inline constexpr CachedVariant<bf16> kCachedAttentionBf16[] = {
#if defined(__x86_64__)
    {"amx", Isa::kAmx, &amx::kCachedBf16},
    {"avx512_bf16", Isa::kAvx512Bf16, &avx512_bf16::kCachedBf16},
    {"avx512", Isa::kAvx512, &avx512::kCachedBf16},
    {"avx2", Isa::kAvx2, &avx2::kCachedBf16},
#endif
    {"ref", Isa::kRef, &ref::kCachedBf16},
};

}  // namespace sis::kernels
