// config.json of the BERT family: BERT itself, RoBERTa, XLM-RoBERTa and CamemBERT share one graph.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "infer/ops/linear.h"

namespace sis::models::bert {

struct Config {
  std::string family;  // model_type: "bert", "xlm-roberta", ...
  int32_t vocab = 0;
  int32_t hidden = 0;
  int32_t layers = 0;
  int32_t heads = 0;
  int32_t intermediate = 0;
  int32_t positions_max = 0;    // rows of the position table
  int32_t position_offset = 0;  // first position used: 0, or padding_idx + 1 for the RoBERTas
  int32_t type_vocab = 0;
  float norm_eps = 1e-12f;
  ops::Activation activation = ops::Activation::kGelu;

  int32_t head_dim() const { return hidden / heads; }
  int32_t tokens_max() const { return positions_max - position_offset; }
};

// kInvalidArgument names the key, what was wanted and what stood there.
Result<Config> read_config(const nlohmann::json& json);

}  // namespace sis::models::bert
