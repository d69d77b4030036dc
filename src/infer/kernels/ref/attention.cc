// The definition, one query at a time: maximum, then weights and sums in a second pass over the
// keys.
#include "infer/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sis::kernels::ref {
namespace {

template <class T>
void attend(const AttentionSequence<T>& s, int64_t first, int64_t last) {
  const int64_t blocks_per_head = (s.tokens + kAttentionQueries - 1) / kAttentionQueries;
  const int64_t width = int64_t{s.heads} * s.head_dim;
  float q[kAttentionHeadDimMax], sum[kAttentionHeadDimMax];
  for (int64_t block = first; block < last; ++block) {
    const int64_t column = block / blocks_per_head * s.head_dim;
    const int64_t begin = block % blocks_per_head * kAttentionQueries;
    const int64_t end = std::min<int64_t>(begin + kAttentionQueries, s.tokens);
    for (int64_t i = begin; i < end; ++i) {
      for (int c = 0; c < s.head_dim; ++c) q[c] = to_float(s.qkv[i * s.qkv_stride + column + c]);
      const auto score = [&](int64_t j) {
        const T* k = s.qkv + j * s.qkv_stride + width + column;
        float dot = 0;
        for (int c = 0; c < s.head_dim; ++c) dot += q[c] * to_float(k[c]);
        return dot * s.scale;
      };
      float top = -std::numeric_limits<float>::infinity();
      for (int64_t j = 0; j < s.tokens; ++j) top = std::max(top, score(j));
      float total = 0;
      std::fill(sum, sum + s.head_dim, 0.0f);
      for (int64_t j = 0; j < s.tokens; ++j) {
        const T* v = s.qkv + j * s.qkv_stride + 2 * width + column;
        const float p = std::exp(score(j) - top);
        total += p;
        for (int c = 0; c < s.head_dim; ++c) sum[c] += p * to_float(v[c]);
      }
      T* out = s.out + i * s.out_stride + column;
      for (int c = 0; c < s.head_dim; ++c) out[c] = T(sum[c] / total);
    }
  }
}

}  // namespace

void attention(const AttentionSequence<float>& s, int64_t first, int64_t last, std::byte*) {
  attend(s, first, last);
}
void attention(const AttentionSequence<bf16>& s, int64_t first, int64_t last, std::byte*) {
  attend(s, first, last);
}

}  // namespace sis::kernels::ref
