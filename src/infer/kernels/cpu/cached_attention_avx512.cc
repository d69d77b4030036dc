#include "infer/kernels/cpu/simd_avx512.h"

#include "infer/kernels/cpu/cached_attention_blocks.h"

namespace sis::kernels::avx512 {
namespace {

template <class T>
void attend(const CachedRows<T>& a, int32_t first, int32_t last, float* partials,
            std::byte* scratch) {
  attend_cached<LaneProducts<T>>(a, first, last, partials, scratch);
}
template <class T>
void finish(const CachedRows<T>& a, int32_t spans, float* partials) {
  finish_cached(a, spans, partials);
}

}  // namespace

const CachedAttention<float> kCachedF32{attend<float>, finish<float>};
const CachedAttention<bf16> kCachedBf16{attend<bf16>, finish<bf16>};

}  // namespace sis::kernels::avx512
