// The steps of causal decoders over a paged cache, split over the device's workers.
//
// The cache is of the activations' type or int8 (KvLayout::dtype). head_dim is even and at most
// 256.
//
// Rows are ragged: the new tokens of all sequences of this step, one flat row each. Activations are
// f32 (compute f32) or bf16 (compute bf16 and int8); the residual stream is always f32. Every row's
// result is the same bits alone and in company, in one chunk or many, in whatever blocks its keys
// lie: keys are visited in order of position, in groups cut at multiples of kKvBlockTokens.
#pragma once

#include <cstdint>
#include <span>

#include "infer/kernels/kv_layout.h"
#include "infer/ops/context.h"
#include "infer/ops/linear.h"
#include "infer/tensor/mat.h"

namespace sis::ops {

// The pool's memory, 64-byte aligned: block b at data + b * layout.block_bytes(). Not owned.
struct KvView {
  std::byte* data = nullptr;
  kernels::KvLayout layout;
};

// The rows of one sequence in a step: positions past .. past + tokens - 1, cached in blocks[p / 32]
// at place p % 32. Positions below `past` are cached already.
struct KvRows {
  const int32_t* blocks = nullptr;
  int32_t past = 0;
  int32_t tokens = 0;  // at least one
  int32_t row = 0;     // first of them in the step's matrices
};

// h[t,:] = table[ids[t],:] * factor. table of any float type; ids are inside it.
void embed_tokens(Context& context, std::span<const int32_t> ids, WeightView table, float factor,
                  Mat<float> h);

//   y[r,c] = x[r,c] * scale[c] / sqrt(mean(x[r,:]^2) + eps)              (arXiv 1910.07467)
// Either of y and low (the same rounded to bf16) may be empty; y may be x.
void rms_norm(Context& context, Mat<const float> x, std::span<const float> scale, float eps,
              Mat<float> y, Mat<bf16> low);
// h[r,c] += the same of x.
void add_rms_norm(Context& context, Mat<const float> x, std::span<const float> scale, float eps,
                  Mat<float> h);

// Normalises queries and keys by head, rotates them by position, and moves keys and values into the
// cache.
//
//   qkv [tokens, (heads + 2 kv_heads) * head_dim]: q heads, then k heads, then v heads. Queries are
//   left in place, ready for attention(); k and v columns are left undefined.
//   With d = head_dim and i < rotated / 2 (halves, not pairs: "rotate_half"; arXiv 2104.09864):
//     angle = position * inverse_frequency[i]                                   (rounded to f32)
//     y[i]               = (x[i] * cos(angle) - x[i + rotated / 2] * sin(angle)) * rope_factor
//     y[i + rotated / 2] = (x[i + rotated / 2] * cos(angle) + x[i] * sin(angle)) * rope_factor
//   rotated = 2 * inverse_frequency.size() <= d; dimensions behind it stay as they are.
//   q_norm, k_norm [d]: RMS norm with this scale before the rotation; empty: none.
struct RotaryArgs {
  std::span<const KvRows> sequences;
  KvView cache;
  int32_t layer = 0;
  int32_t heads = 0;
  std::span<const float> q_norm, k_norm;
  float eps = 0;
  std::span<const float> inverse_frequency;
  float rope_factor = 1;
};
void rotate_and_cache(Context& context, const RotaryArgs& args, Mat<float> qkv);
void rotate_and_cache(Context& context, const RotaryArgs& args, Mat<bf16> qkv);

// Grouped-query attention over the cache, which holds the new tokens' keys already.
//
//   p[i,j]   = softmax_j(scale * q[i,:]·k[j,:])
//   out[i,:] = sum_j p[i,j] * v[j,:]
//
// i and j are positions; query head n reads key/value head n / (heads / kv_heads). Causal: j <= i;
// otherwise all past + tokens positions. window > 0: |i - j| < window as well; blocks that lie
// before all windows of the step are not read and may be gone.
//
//   q [tokens, >= heads * head_dim]; out [tokens, heads * head_dim]; scale above 0
//
// Scores, exponentials and sums are f32. Where the CPU multiplies bf16, weights are rounded to bf16
// before the second product, times the value's scale where the cache is int8.
struct CachedAttentionArgs {
  std::span<const KvRows> sequences;
  KvView cache;
  int32_t layer = 0;
  int32_t heads = 0;
  float scale = 1;
  bool causal = true;
  int32_t window = 0;
};
void cached_attention(Context& context, const CachedAttentionArgs& args, Mat<const float> q,
                      Mat<float> out);
void cached_attention(Context& context, const CachedAttentionArgs& args, Mat<const bf16> q,
                      Mat<bf16> out);

}  // namespace sis::ops
