// config.json of the decoders that share one graph: Llama, Mistral, Qwen2, Qwen3 and Gemma 3 text.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "infer/ops/linear.h"

namespace sis::models::decoder {

// How positions become angles; see rope.h.
struct Rope {
  enum class Kind : uint8_t { kDefault, kLinear, kLlama3, kYarn };
  Kind kind = Kind::kDefault;
  double theta = 10000;
  double factor = 1;
  double original_positions = 0;                     // llama3, yarn
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  double attention_factor = 0;                       // yarn; 0: from factor and mscale
  double mscale = 0, mscale_all_dim = 0;             // yarn
  bool truncate = true;                              // yarn
};

struct Config {
  std::string family;  // model_type: "llama", "qwen3", ...
  int32_t vocab = 0;
  int32_t hidden = 0;
  int32_t layers = 0;
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  int32_t intermediate = 0;
  int32_t positions_max = 0;
  float norm_eps = 1e-6f;
  float norm_offset = 0;       // Gemma's norms scale by 1 + weight
  float embedding_factor = 1;  // Gemma: sqrt(hidden)
  float query_scale = 0;       // of the scores
  bool qkv_bias = false;
  bool output_bias = false;  // of the attention's output projection
  bool mlp_bias = false;
  bool qk_norm = false;     // RMS norm of every query and key head
  bool post_norms = false;  // norms behind attention and feed-forward too (Gemma)
  bool tied_head = false;   // logits from the embedding table
  bool causal = true;       // false: EmbeddingGemma
  ops::Activation activation = ops::Activation::kSilu;
  std::vector<int32_t> windows;  // by layer: positions back that count, itself included; 0: all
  std::vector<uint8_t> local;    // by layer: uses local_rope
  Rope rope, local_rope;
};

// Takes the text part where the checkpoint has several ("text_config"). kInvalidArgument names the
// key, what was wanted and what stood there; so do features we do not have (soft caps, dynamic
// rope).
Result<Config> read_config(const nlohmann::json& json);

}  // namespace sis::models::decoder
