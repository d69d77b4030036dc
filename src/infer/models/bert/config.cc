#include "infer/models/bert/config.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sis::models::bert {
namespace {

using nlohmann::json;

Error wrong(const char* key, std::string_view wanted, const json& found) {
  return {Code::kInvalidArgument,
          concat("config.json: ", key, ": want ", wanted, ", got ", in_quotes(found.dump()))};
}

Status read_count(const json& config, const char* key, int64_t max, int32_t& out) {
  const auto it = config.find(key);
  if (it == config.end())
    return Error{Code::kInvalidArgument, concat("config.json: ", key, " is missing")};
  if (!it->is_number_integer() || *it < 1 || *it > max)
    return wrong(key, concat("a whole number 1..", max), *it);
  out = it->get<int32_t>();
  return {};
}

Result<ops::Activation> read_activation(const json& config) {
  const auto it = config.find("hidden_act");
  if (it == config.end()) return ops::Activation::kGelu;
  static constexpr std::pair<const char*, ops::Activation> kKnown[] = {
      {"gelu", ops::Activation::kGelu},
      {"gelu_python", ops::Activation::kGelu},
      {"gelu_new", ops::Activation::kGeluTanh},
      {"gelu_fast", ops::Activation::kGeluTanh},
      {"gelu_pytorch_tanh", ops::Activation::kGeluTanh},
      {"relu", ops::Activation::kRelu},
      {"silu", ops::Activation::kSilu},
      {"swish", ops::Activation::kSilu},
  };
  for (const auto& [name, activation] : kKnown)
    if (*it == name) return activation;
  return wrong("hidden_act", "gelu, gelu_new, relu or silu", *it);
}

}  // namespace

Result<Config> read_config(const json& json) {
  Config c;
  c.family = json.value("model_type", "");
  const bool roberta =
      c.family == "roberta" || c.family == "xlm-roberta" || c.family == "camembert";
  SIS_TRY(read_count(json, "vocab_size", 1 << 24, c.vocab));
  SIS_TRY(read_count(json, "hidden_size", 1 << 16, c.hidden));
  SIS_TRY(read_count(json, "num_hidden_layers", 1024, c.layers));
  SIS_TRY(read_count(json, "num_attention_heads", 1024, c.heads));
  SIS_TRY(read_count(json, "intermediate_size", 1 << 18, c.intermediate));
  SIS_TRY(read_count(json, "max_position_embeddings", 1 << 20, c.positions_max));
  SIS_TRY(read_count(json, "type_vocab_size", 1 << 16, c.type_vocab));
  if (c.hidden % c.heads != 0)
    return Error{Code::kInvalidArgument,
                 concat("config.json: hidden_size ", c.hidden,
                        " is no multiple of num_attention_heads ", c.heads)};
  if (const auto it = json.find("layer_norm_eps"); it != json.end()) {
    if (!it->is_number() || !(it->get<double>() > 0) || it->get<double>() > 1)
      return wrong("layer_norm_eps", "a number in (0, 1]", *it);
    c.norm_eps = it->get<float>();
  }
  if (const auto it = json.find("position_embedding_type");
      it != json.end() && !it->is_null() && *it != "absolute")
    return wrong("position_embedding_type", "'absolute'", *it);
  if (const auto it = json.find("is_decoder"); it != json.end() && *it == true)
    return wrong("is_decoder", "false", *it);
  SIS_ASSIGN(c.activation, read_activation(json));
  if (roberta) {
    int64_t pad = 1;
    if (const auto it = json.find("pad_token_id"); it != json.end() && !it->is_null()) {
      if (!it->is_number_integer() || *it < 0 || *it >= c.vocab)
        return wrong("pad_token_id", "an id of the vocabulary", *it);
      pad = it->get<int64_t>();
    }
    c.position_offset = static_cast<int32_t>(pad + 1);
  }
  if (c.tokens_max() < 1)
    return Error{Code::kInvalidArgument,
                 concat("config.json: max_position_embeddings ", c.positions_max,
                        " leaves no position after offset ", c.position_offset)};
  return c;
}

}  // namespace sis::models::bert
