// The tensors of a decoder checkpoint: their names and shapes, and where they go.
#pragma once

#include <memory>
#include <vector>

#include "infer/models/decoder/config.h"
#include "infer/ops/linear.h"
#include "infer/weights/source.h"

namespace sis::models::decoder {

struct Layer {
  std::vector<float> attention_norm;          // [hidden], before attention
  std::vector<float> q_norm, k_norm;          // [head_dim], or empty
  ops::Linear qkv;                            // [(heads + 2 kv_heads) * head_dim, hidden]
  ops::Linear attention_out;                  // [hidden, heads * head_dim]
  std::vector<float> post_attention_norm;     // [hidden], or empty
  std::vector<float> feed_forward_norm;       // [hidden], before the feed-forward part
  ops::Linear gate_up;                        // gated, twice [intermediate, hidden]
  ops::Linear down;                           // [hidden, intermediate]
  std::vector<float> post_feed_forward_norm;  // [hidden], or empty
};

struct Weights {
  std::unique_ptr<weights::WeightSource> source;  // keeps `embedding` valid
  WeightView embedding;                           // [vocab, hidden]
  std::vector<Layer> layers;
  std::vector<float> final_norm;  // [hidden]
  ops::Linear head;               // [vocab, hidden]; empty when not asked for
  int64_t bytes = 0;
};

// `with_head`: logits are wanted (not for embedding models). kInvalidArgument names the tensor.
Result<Weights> load_weights(const Config& config, std::unique_ptr<weights::WeightSource> source,
                             bool with_head, DType compute, Isa isa, ThreadTeam& team);

}  // namespace sis::models::decoder
