// From token states to one vector per sequence: pooling, optional dense layers, optional length 1.
// A classification head is the same with logits for a vector.
//
// Read from the checkpoint as sentence-transformers lays it out (modules.json, N_Pooling, N_Dense,
// N_Normalize); a plain repository has none of these files and gets mean pooling and normalisation,
// unless told otherwise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "infer/ops/encoder_ops.h"
#include "infer/ops/linear.h"

namespace sis::nn {

struct HeadConfig {
  struct Dense {
    std::string folder;      // its safetensors hold NAME.weight [out, in] and maybe NAME.bias
    std::string name;        // "linear"
    std::string activation;  // "identity" or "tanh"
    std::vector<int32_t> rows = {};  // only these rows of the weight, in this order; empty: all
  };
  ops::Pooling pooling = ops::Pooling::kMean;
  std::vector<Dense> dense;  // in order, after pooling
  bool normalise = true;
  std::vector<std::string> labels;    // of a classification head's columns; empty: an embedding
  bool multi_label = false;           // each label by itself (sigmoid), not one of them (softmax)
  bool regression = false;            // the one column is a quantity, not a label's logit
  bool from_modules = false;          // modules.json was there
  std::optional<int32_t> tokens_max;  // max_seq_length of sentence_bert_config.json
};

// Reads the layout of `folder`. kInvalidArgument for a module or pooling mode we do not have, by
// name.
Result<HeadConfig> read_head_config(const std::string& folder);
// The head of a sequence classifier of BERT's, RoBERTa's or a decoder's kind: labels and
// problem_type of config.json, one column per label in the order of id2label. kInvalidArgument when
// the checkpoint has none.
Result<HeadConfig> read_classification_head(const std::string& folder);

class EmbeddingHead {
 public:
  static Result<EmbeddingHead> load(const HeadConfig& config, int32_t hidden, Isa isa,
                                    ThreadTeam& team);

  int32_t dimensions() const { return dimensions_; }
  const HeadConfig& config() const { return config_; }

  // states [tokens, hidden] -> out [sequences, dimensions]
  void forward(ops::Context& context, Mat<const float> states, std::span<const int32_t> offsets,
               Mat<float> out) const;

 private:
  HeadConfig config_;
  std::vector<ops::Linear> dense_;
  int32_t dimensions_ = 0;
};

}  // namespace sis::nn
