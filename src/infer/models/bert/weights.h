// The tensors of a BERT-family checkpoint: their names and shapes, and where they go.
#pragma once

#include <memory>
#include <vector>

#include "infer/models/bert/config.h"
#include "infer/ops/linear.h"
#include "infer/weights/source.h"

namespace sis::models::bert {

struct Norm {
  std::vector<float> gamma, beta;  // [hidden]
};

struct Layer {
  ops::Linear qkv;            // [3 * hidden, hidden]
  ops::Linear attention_out;  // [hidden, hidden]
  Norm attention_norm;
  ops::Linear up;    // [intermediate, hidden]
  ops::Linear down;  // [hidden, intermediate]
  Norm output_norm;
};

struct Weights {
  std::unique_ptr<weights::WeightSource> source;  // keeps the views below valid
  WeightView word;                                // [vocab, hidden]
  WeightView position;                            // [positions_max, hidden]
  WeightView type;                                // [type_vocab, hidden]
  Norm embedding_norm;
  std::vector<Layer> layers;
  int64_t bytes = 0;
};

Result<Weights> load_weights(const Config& config, std::unique_ptr<weights::WeightSource> source,
                             DType compute, Isa isa, ThreadTeam& team);

}  // namespace sis::models::bert
