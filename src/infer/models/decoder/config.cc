#include "infer/models/decoder/config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sis::models::decoder {
namespace {

using nlohmann::json;

// A reader of one JSON object that says which key is wrong.
class Reader {
 public:
  Reader(const json& object, std::string at) : object_(object), at_(std::move(at)) {}

  // Null where the key is absent or null.
  const json* find(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  Error wrong(const char* key, std::string_view wanted) const {
    const json* found = find(key);
    std::string text = found ? found->dump() : "nothing";
    if (text.size() > 200) text = text.substr(0, 200) + "...";
    return {Code::kInvalidArgument, concat(at_, key, ": want ", wanted, ", got ", in_quotes(text))};
  }
  Status count(const char* key, int64_t max, int32_t& out) const {
    const json* value = find(key);
    if (!value) return Error{Code::kInvalidArgument, concat(at_, key, " is missing")};
    return count_or(key, max, out);
  }
  // Leaves `out` alone where the key is absent.
  Status count_or(const char* key, int64_t max, int32_t& out) const {
    const json* value = find(key);
    if (!value) return {};
    if (!value->is_number_integer() || *value < 1 || *value > max)
      return wrong(key, concat("a whole number 1..", max));
    out = value->get<int32_t>();
    return {};
  }
  Status number_or(const char* key, double min, double max, double& out) const {
    const json* value = find(key);
    if (!value) return {};
    if (!value->is_number() || !(value->get<double>() >= min) || !(value->get<double>() <= max))
      return wrong(key, concat("a number ", min, "..", max));
    out = value->get<double>();
    return {};
  }
  Status flag_or(const char* key, bool& out) const {
    const json* value = find(key);
    if (!value) return {};
    if (!value->is_boolean()) return wrong(key, "true or false");
    out = value->get<bool>();
    return {};
  }
  // A feature we do not have must be absent, null or `none`.
  Status absent(const char* key, const json& none = nullptr) const {
    const json* value = find(key);
    if (!value || *value == none) return {};
    return wrong(key, none.is_null() ? "nothing (not supported)" : none.dump());
  }

 private:
  const json& object_;
  const std::string at_;
};

Status read_rope_scaling(const json& object, const std::string& at, int32_t positions_max,
                         Rope& rope) {
  if (!object.is_object()) return Error{Code::kInvalidArgument, concat(at, ": want an object")};
  const Reader read(object, at + ".");
  SIS_TRY(read.number_or("rope_theta", 1, 1e12, rope.theta));
  const char* key = read.find("rope_type") ? "rope_type" : "type";
  const json* type = read.find(key);
  const std::string name = type && type->is_string() ? type->get<std::string>() : "default";
  if (const json* part = read.find("partial_rotary_factor"); part && *part != 1.0)
    return read.wrong("partial_rotary_factor", "1");
  if (name == "default") {
    rope.kind = Rope::Kind::kDefault;
    return {};
  }
  if (name == "linear") {
    rope.kind = Rope::Kind::kLinear;
  } else if (name == "llama3") {
    rope.kind = Rope::Kind::kLlama3;
  } else if (name == "yarn") {
    rope.kind = Rope::Kind::kYarn;
  } else {
    return read.wrong(key, "default, linear, llama3 or yarn");
  }
  if (!read.find("factor")) return read.wrong("factor", "a number");
  SIS_TRY(read.number_or("factor", 1, 1e6, rope.factor));
  rope.original_positions = positions_max;
  SIS_TRY(read.number_or("original_max_position_embeddings", 1, 1 << 30, rope.original_positions));
  SIS_TRY(read.number_or("low_freq_factor", 1e-6, 1e6, rope.low_freq_factor));
  SIS_TRY(read.number_or("high_freq_factor", 1e-6, 1e6, rope.high_freq_factor));
  if (rope.kind == Rope::Kind::kLlama3 && !(rope.high_freq_factor > rope.low_freq_factor))
    return read.wrong("high_freq_factor", "more than low_freq_factor");
  SIS_TRY(read.number_or("beta_fast", 1e-6, 1e6, rope.beta_fast));
  SIS_TRY(read.number_or("beta_slow", 1e-6, 1e6, rope.beta_slow));
  SIS_TRY(read.number_or("attention_factor", 1e-6, 1e6, rope.attention_factor));
  SIS_TRY(read.number_or("mscale", 0, 1e6, rope.mscale));
  SIS_TRY(read.number_or("mscale_all_dim", 0, 1e6, rope.mscale_all_dim));
  return read.flag_or("truncate", rope.truncate);
}

// Older files have rope_theta, rope_local_base_freq and rope_scaling; newer ones rope_parameters,
// by kind of layer where there are two.
Status read_ropes(const json& object, const Reader& read, Config& c) {
  SIS_TRY(read.number_or("rope_theta", 1, 1e12, c.rope.theta));
  SIS_TRY(read.number_or("rope_local_base_freq", 1, 1e12, c.local_rope.theta));
  if (read.find("rope_scaling"))
    SIS_TRY(read_rope_scaling(object["rope_scaling"], "config.json: rope_scaling", c.positions_max,
                              c.rope));
  const json* newer = read.find("rope_parameters");
  if (!newer) return {};
  if (!newer->is_object()) return read.wrong("rope_parameters", "an object");
  const std::string at = "config.json: rope_parameters";
  if (!newer->contains("full_attention") && !newer->contains("sliding_attention"))
    return read_rope_scaling(*newer, at, c.positions_max, c.rope);
  if (const auto it = newer->find("full_attention"); it != newer->end())
    SIS_TRY(read_rope_scaling(*it, at + ".full_attention", c.positions_max, c.rope));
  if (const auto it = newer->find("sliding_attention"); it != newer->end())
    SIS_TRY(read_rope_scaling(*it, at + ".sliding_attention", c.positions_max, c.local_rope));
  return {};
}

// Which layers look back only so far.
Status read_windows(const Reader& read, bool gemma, Config& c) {
  c.windows.assign(c.layers, 0);
  c.local.assign(c.layers, 0);
  int32_t window = 0;
  SIS_TRY(read.count_or("sliding_window", 1 << 30, window));
  bool used = c.family == "mistral" || gemma;
  SIS_TRY(read.flag_or("use_sliding_window", used));
  if (gemma && !c.causal) window = window / 2 + 1;  // both ways
  if (const json* types = read.find("layer_types")) {
    if (!types->is_array() || types->size() != static_cast<size_t>(c.layers))
      return read.wrong("layer_types", concat("a list of ", c.layers));
    for (int32_t i = 0; i < c.layers; ++i) {
      const auto& type = (*types)[i];
      if (type == "sliding_attention") {
        if (window == 0) return read.wrong("sliding_window", "a whole number");
        c.windows[i] = window;
        c.local[i] = gemma;
      } else if (type != "full_attention") {
        return read.wrong("layer_types", "full_attention and sliding_attention");
      }
    }
    return {};
  }
  if (!used || window == 0) return {};
  int32_t pattern = 6, full_layers = 0;
  SIS_TRY(read.count_or("sliding_window_pattern", 1024, pattern));
  if (c.family.starts_with("qwen")) {
    // The first max_window_layers see everything.
    full_layers = c.layers;
    SIS_TRY(read.count_or("max_window_layers", 1 << 20, full_layers));
  }
  for (int32_t i = 0; i < c.layers; ++i) {
    const bool slides = gemma ? (i + 1) % pattern != 0 : i >= full_layers;
    if (slides) c.windows[i] = window;
    c.local[i] = slides && gemma;
  }
  return {};
}

// Quantised checkpoints: fp8 with a scale per 128 x 128 block, or per tensor or row.
Status check_quantisation(const json& whole) {
  const auto it = whole.find("quantization_config");
  if (it == whole.end() || it->is_null()) return {};
  const std::string at = "config.json: quantization_config";
  if (!it->is_object()) return Error{Code::kInvalidArgument, concat(at, ": want an object")};
  const Reader read(*it, at + ".");
  const json* method = read.find("quant_method");
  if (!method || (*method != "fp8" && *method != "compressed-tensors"))
    return read.wrong("quant_method", "fp8 or compressed-tensors with fp8 weights");
  if (const json* block = read.find("weight_block_size");
      block && *block != json::array({128, 128}))
    return read.wrong("weight_block_size", "[128, 128]");
  return {};
}

Status read_activation(const Reader& read, Config& c) {
  const char* key = read.find("hidden_activation") ? "hidden_activation" : "hidden_act";
  const json* name = read.find(key);
  if (!name) return {};
  if (*name == "silu" || *name == "swish") {
    c.activation = ops::Activation::kSilu;
  } else if (*name == "gelu_pytorch_tanh" || *name == "gelu_new") {
    c.activation = ops::Activation::kGeluTanh;
  } else if (*name == "gelu") {
    c.activation = ops::Activation::kGelu;
  } else {
    return read.wrong(key, "silu, gelu or gelu_pytorch_tanh");
  }
  return {};
}

}  // namespace

Result<Config> read_config(const json& whole) {
  const auto text = whole.find("text_config");
  const json& object = text != whole.end() && text->is_object() ? *text : whole;
  const Reader read(object, text != whole.end() ? "config.json: text_config." : "config.json: ");
  Config c;
  c.family = object.value("model_type", "");
  const bool gemma = c.family == "gemma3_text";
  SIS_TRY(read.count("vocab_size", 1 << 24, c.vocab));
  SIS_TRY(read.count("hidden_size", 1 << 16, c.hidden));
  SIS_TRY(read.count("num_hidden_layers", 1024, c.layers));
  SIS_TRY(read.count("num_attention_heads", 1024, c.heads));
  c.kv_heads = c.heads;
  SIS_TRY(read.count_or("num_key_value_heads", 1024, c.kv_heads));
  SIS_TRY(read.count("intermediate_size", 1 << 18, c.intermediate));
  SIS_TRY(read.count("max_position_embeddings", 1 << 24, c.positions_max));
  if (c.heads % c.kv_heads != 0)
    return Error{Code::kInvalidArgument,
                 concat("config.json: num_attention_heads ", c.heads,
                        " is no multiple of num_key_value_heads ", c.kv_heads)};
  if (read.find("head_dim")) {
    SIS_TRY(read.count("head_dim", 256, c.head_dim));
  } else if (c.hidden % c.heads == 0) {
    c.head_dim = c.hidden / c.heads;
  }
  if (c.head_dim < 2 || c.head_dim > 256 || c.head_dim % 2 != 0)
    return Error{Code::kInvalidArgument,
                 concat("config.json: head_dim: want an even number 2..256, got ", c.head_dim)};
  double eps = 1e-6;
  SIS_TRY(read.number_or("rms_norm_eps", 0, 1, eps));
  c.norm_eps = static_cast<float>(eps);
  SIS_TRY(read_activation(read, c));
  SIS_TRY(check_quantisation(whole));

  c.qk_norm = c.family == "qwen3" || gemma;
  bool attention_bias = false;
  SIS_TRY(read.flag_or("attention_bias", attention_bias));
  c.qkv_bias = attention_bias || c.family == "qwen2";
  c.output_bias = attention_bias;
  SIS_TRY(read.flag_or("mlp_bias", c.mlp_bias));
  c.tied_head = gemma;
  SIS_TRY(read.flag_or("tie_word_embeddings", c.tied_head));
  if (text != whole.end() && !read.find("tie_word_embeddings"))
    SIS_TRY(Reader(whole, "config.json: ").flag_or("tie_word_embeddings", c.tied_head));

  double score_dim = c.head_dim;
  if (gemma) {
    c.post_norms = true;
    c.norm_offset = 1;
    c.embedding_factor = std::sqrt(static_cast<float>(c.hidden));
    score_dim = 256;
    SIS_TRY(read.number_or("query_pre_attn_scalar", 1e-3, 1e6, score_dim));
    bool both_ways = false;
    SIS_TRY(read.flag_or("use_bidirectional_attention", both_ways));
    c.causal = !both_ways;
    c.rope.theta = 1e6;
    SIS_TRY(read.absent("final_logit_softcapping"));
    SIS_TRY(read.absent("attn_logit_softcapping"));
  }
  c.query_scale = static_cast<float>(1 / std::sqrt(score_dim));
  SIS_TRY(read_ropes(object, read, c));
  SIS_TRY(read_windows(read, gemma, c));
  return c;
}

}  // namespace sis::models::decoder
