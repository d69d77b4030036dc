// The definitions in plain C++, sums in double.
#include "infer/kernels/decoder_rows.h"

#include <algorithm>
#include <cmath>

#include "infer/kernels/ref/kv_element.h"

namespace sis::kernels::ref {
namespace {

// A head normalised and rotated, in f32.
template <class T>
void turn_head(const RotateArgs<T>& a, const T* x, const float* norm, const float* cosine,
               const float* sine, float* y) {
  const int dim = a.cache.head_dim, half = a.frequencies;
  double squares = 0;
  for (int d = 0; d < dim; ++d) squares += double{to_float(x[d])} * to_float(x[d]);
  const double factor = 1.0 / std::sqrt(squares / dim + a.eps);
  for (int d = 0; d < dim; ++d)
    y[d] = norm ? static_cast<float>(to_float(x[d]) * factor * norm[d]) : to_float(x[d]);
  for (int i = 0; i < half; ++i) {
    const float low = y[i], high = y[i + half];
    y[i] = low * cosine[i] - high * sine[i];
    y[i + half] = high * cosine[i] + low * sine[i];
  }
}

float finite(float x) {
  constexpr float kMost = 0x1.FEp127f;  // the largest bf16
  return x < kMost ? std::max(x, -kMost) : kMost;
}

// x [head_dim] to place j of a tile; `element` says where.
template <class Element>
void store_head(const KvLayer& cache, std::byte* tile, std::byte* scales, int j, const float* x,
                Element element) {
  float step = 0;
  if (cache.dtype == DType::kI8) {
    float top = 0;
    for (int d = 0; d < cache.head_dim; ++d) top = std::max(top, std::abs(finite(x[d])));
    step = top / 127;
    std::memcpy(scales + j * 4, &step, 4);
  }
  for (int d = 0; d < cache.head_dim; ++d) {
    const int64_t at = element(cache.dtype, cache.dim_padded, j, d);
    const float value = finite(x[d]);
    if (cache.dtype == DType::kF32)
      reinterpret_cast<float*>(tile)[at] = value;
    else if (cache.dtype == DType::kBf16)
      reinterpret_cast<bf16*>(tile)[at] = bf16(value);
    else
      reinterpret_cast<int8_t*>(tile)[at] =
          step > 0 ? static_cast<int8_t>(std::nearbyint(std::clamp(value / step, -127.0f, 127.0f)))
                   : int8_t{0};
  }
}

template <class T>
void rotate_rows(const RotateArgs<T>& a, int64_t begin, int64_t end) {
  const KvLayer& cache = a.cache;
  float cosine[kDecoderHeadDimMax / 2], sine[kDecoderHeadDimMax / 2], y[kDecoderHeadDimMax];
  for (int64_t r = begin; r < end; ++r) {
    const int32_t position = a.position + static_cast<int32_t>(r);
    for (int i = 0; i < a.frequencies; ++i) {
      const float angle = static_cast<float>(position) * a.inverse_frequency[i];
      cosine[i] = static_cast<float>(std::cos(double{angle})) * a.rope_factor;
      sine[i] = static_cast<float>(std::sin(double{angle})) * a.rope_factor;
    }
    T* head = a.qkv + r * a.stride;
    for (int h = 0; h < a.heads; ++h, head += cache.head_dim) {
      turn_head(a, head, a.q_norm, cosine, sine, y);
      for (int d = 0; d < cache.head_dim; ++d) head[d] = T(y[d]);
    }
    std::byte* tile = cache.data + a.blocks[position / kKvBlockTokens] * cache.block_bytes;
    const int j = position % kKvBlockTokens;
    const int64_t width = int64_t{cache.kv_heads} * cache.head_dim;
    for (int h = 0; h < cache.kv_heads; ++h, head += cache.head_dim, tile += cache.head_bytes) {
      std::byte* const values = tile + cache.tile_bytes;
      std::byte* const scales = values + cache.tile_bytes;
      turn_head(a, head, a.k_norm, cosine, sine, y);
      store_head(cache, tile, scales, j, y, k_element);
      for (int d = 0; d < cache.head_dim; ++d) y[d] = to_float(head[width + d]);
      store_head(cache, values, scales + kKvBlockTokens * 4, j, y, v_element);
    }
  }
}

}  // namespace

void rms_norm(const RmsNormArgs& a, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const float* x = a.x.row(r);
    double squares = 0;
    for (int64_t c = 0; c < a.x.cols; ++c) squares += double{x[c]} * x[c];
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(a.x.cols) + a.eps);
    for (int64_t c = 0; c < a.x.cols; ++c) {
      const auto v = static_cast<float>(x[c] * factor * a.scale[c]);
      if (a.y.data) a.y.at(r, c) = a.add ? a.y.at(r, c) + v : v;
      if (a.low.data) a.low.at(r, c) = bf16(v);
    }
  }
}

void embed_tokens(const EmbedTokensArgs& a, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t)
    for (int64_t c = 0; c < a.y.cols; ++c) a.y.at(t, c) = a.table.at(a.ids[t], c) * a.factor;
}

void rotate(const RotateArgs<float>& a, int64_t begin, int64_t end) { rotate_rows(a, begin, end); }
void rotate(const RotateArgs<bf16>& a, int64_t begin, int64_t end) { rotate_rows(a, begin, end); }

}  // namespace sis::kernels::ref
