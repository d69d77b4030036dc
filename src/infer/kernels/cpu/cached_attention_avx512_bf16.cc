#include "infer/kernels/cpu/cached_attention_pairs.h"

namespace sis::kernels::avx512_bf16 {
namespace {

struct Products : PairTiles, VectorProducts<Products> {};

void attend(const CachedRows<bf16>& a, int32_t first, int32_t last, float* partials,
            std::byte* scratch) {
  attend_cached<Products>(a, first, last, partials, scratch);
}
void finish(const CachedRows<bf16>& a, int32_t spans, float* partials) {
  finish_cached(a, spans, partials);
}

}  // namespace

const CachedAttention<bf16> kCachedBf16{attend, finish};

}  // namespace sis::kernels::avx512_bf16
