// The definition, one row at a time: maximum of a span, then its weights and sums.
#include "infer/kernels/cached_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "infer/kernels/ref/kv_element.h"

namespace sis::kernels::ref {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

struct Span {
  float top = kNothing, total = 0;
  float sum[kCachedHeadDimMax] = {};
};

float element(DType dtype, const std::byte* tile, int64_t at) {
  switch (dtype) {
    case DType::kF32:
      return reinterpret_cast<const float*>(tile)[at];
    case DType::kBf16:
      return to_float(reinterpret_cast<const bf16*>(tile)[at]);
    default:
      return reinterpret_cast<const int8_t*>(tile)[at];
  }
}

template <class T>
void attend_row(const CachedRows<T>& a, int row, int32_t span, Span& s) {
  const KvLayer& cache = a.cache;
  const int64_t i = a.position + row / a.group;
  const T* q = a.q + row / a.group * a.q_stride + row % a.group * cache.head_dim;
  int64_t begin = int64_t{span} * kSpanKeys, end = std::min<int64_t>(begin + kSpanKeys, a.keys);
  if (a.causal) end = std::min(end, i + 1);
  if (a.window > 0) {
    begin = std::max(begin, i - a.window + 1);
    end = std::min(end, i + a.window);
  }
  const auto tile_of = [&](int64_t j) {
    return cache.data + a.blocks[j / kKvBlockTokens] * cache.block_bytes;
  };
  const auto scale_of = [&](int64_t j, int which) {
    if (cache.dtype != DType::kI8) return 1.0f;
    float scale;
    std::memcpy(
        &scale,
        tile_of(j) + 2 * cache.tile_bytes + (which * kKvBlockTokens + j % kKvBlockTokens) * 4, 4);
    return scale;
  };
  float score[kSpanKeys];
  for (int64_t j = begin; j < end; ++j) {
    float dot = 0;
    for (int d = 0; d < cache.head_dim; ++d)
      dot +=
          to_float(q[d]) * element(cache.dtype, tile_of(j),
                                   k_element(cache.dtype, cache.dim_padded, j % kKvBlockTokens, d));
    score[j - begin] = dot * scale_of(j, 0) * a.scale;
    s.top = std::max(s.top, score[j - begin]);
  }
  for (int64_t j = begin; j < end; ++j) {
    const float weight = std::exp(score[j - begin] - s.top), scaled = weight * scale_of(j, 1);
    s.total += weight;
    for (int d = 0; d < cache.head_dim; ++d)
      s.sum[d] += scaled * element(cache.dtype, tile_of(j) + cache.tile_bytes,
                                   v_element(cache.dtype, cache.dim_padded, j % kKvBlockTokens, d));
  }
}

void merge(Span& s, const Span& next, int dim) {
  const float top = std::max(s.top, next.top);
  if (top == kNothing) return;
  const float mine = std::exp(s.top - top), its = std::exp(next.top - top);
  s.top = top;
  s.total = s.total * mine + next.total * its;
  for (int d = 0; d < dim; ++d) s.sum[d] = s.sum[d] * mine + next.sum[d] * its;
}

template <class T>
void write_row(const CachedRows<T>& a, int row, const Span& s) {
  T* out = a.out + row / a.group * a.out_stride + row % a.group * a.cache.head_dim;
  for (int d = 0; d < a.cache.head_dim; ++d) out[d] = T(s.sum[d] / s.total);
}

template <class T>
void attend(const CachedRows<T>& a, int32_t first, int32_t last, float* partials, std::byte*) {
  const int rows = a.tokens * a.group;
  const int64_t padded = (rows + 31) / 32 * 32, dim = a.cache.dim_padded;
  for (int r = 0; r < rows; ++r) {
    Span all;
    for (int32_t span = first; span < last; ++span) {
      Span next;
      attend_row(a, r, span, next);
      if (!partials) {
        merge(all, next, a.cache.head_dim);
        continue;
      }
      float* const p = partials + (span - first) * partial_floats(rows, dim);
      p[r] = next.top;
      p[padded + r] = next.total;
      std::copy_n(next.sum, a.cache.head_dim, p + 2 * padded + r * dim);
    }
    if (!partials) write_row(a, r, all);
  }
}

template <class T>
void finish(const CachedRows<T>& a, int32_t spans, float* partials) {
  const int rows = a.tokens * a.group;
  const int64_t padded = (rows + 31) / 32 * 32, dim = a.cache.dim_padded;
  for (int r = 0; r < rows; ++r) {
    Span all;
    for (int32_t s = 0; s < spans; ++s) {
      const float* const p = partials + s * partial_floats(rows, dim);
      Span next;
      next.top = p[r];
      next.total = p[padded + r];
      std::copy_n(p + 2 * padded + r * dim, a.cache.head_dim, next.sum);
      merge(all, next, a.cache.head_dim);
    }
    write_row(a, r, all);
  }
}

}  // namespace

const CachedAttention<float> kCachedF32{attend<float>, finish<float>};
const CachedAttention<bf16> kCachedBf16{attend<bf16>, finish<bf16>};

}  // namespace sis::kernels::ref
