// The row-wise and attention steps of encoders, split over the device's workers.
//
// A batch is ragged: one flat row per token, sequence s owning rows offsets[s] .. offsets[s+1].
// Activations are f32 (compute f32) or bf16 (compute bf16 and int8); residual streams are always
// f32. Every row's (attention: every sequence's) result is independent of its company, bit for bit.
#pragma once

#include <cstdint>
#include <span>

#include "infer/ops/context.h"
#include "infer/tensor/mat.h"

namespace sis::ops {

// sum[t] = word[ids[t]] + position[positions[t]] + type[types[t]], then layer norm.
//   word [vocab, hidden], position [positions_max, hidden], type [types, hidden] or empty; any
//   float type y [tokens, hidden] f32 (the residual stream); y_low the same in bf16, or empty
struct EmbedArgs {
  std::span<const int32_t> ids;
  std::span<const int32_t> positions;
  std::span<const int32_t> types;  // empty: all 0
  WeightView word, position, type;
  std::span<const float> gamma, beta;
  float eps = 1e-12f;
};
void embed_layer_norm(Context& context, const EmbedArgs& args, Mat<float> y, Mat<bf16> y_low);

//   y[r,c] = (x[r,c] - mean(x[r,:])) / sqrt(var(x[r,:]) + eps) * gamma[c] + beta[c]     (biased
//   variance)
// y may be x; y_low (bf16) may be empty.
void layer_norm(Context& context, Mat<const float> x, std::span<const float> gamma,
                std::span<const float> beta, float eps, Mat<float> y, Mat<bf16> y_low);

// Bidirectional multi-head attention inside each sequence.
//   qkv [tokens, 3 * heads * head_dim]: q, k, v side by side, head h at columns h * head_dim
//   out [tokens, heads * head_dim]; softmax in f32 of q·k * scale. head_dim any, best at multiples
//   of 32.
void attention(Context& context, Mat<const bf16> qkv, std::span<const int32_t> offsets, int heads,
               int head_dim, float scale, Mat<bf16> out);
void attention(Context& context, Mat<const float> qkv, std::span<const int32_t> offsets, int heads,
               int head_dim, float scale, Mat<float> out);

enum class Pooling : uint8_t { kCls, kMean, kMax, kLast, kMeanSqrtLen };
// x [tokens, hidden] -> out [sequences, hidden]; every sequence has at least one token.
void pool(Context& context, Mat<const float> x, std::span<const int32_t> offsets, Pooling pooling,
          Mat<float> out);
// Rows to length 1; a row of zeros stays zero.
void l2_normalise(Context& context, Mat<float> x);

}  // namespace sis::ops
