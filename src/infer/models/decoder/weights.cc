#include "infer/models/decoder/weights.h"

#include "base/strings.h"

namespace sis::models::decoder {
namespace {

// Bare models have no prefix, those with a head "model.", those that see or hear put the text part
// deeper.
std::string find_prefix(const weights::WeightSource& source) {
  for (const char* prefix : {"model.", "", "language_model.model.", "model.language_model."})
    if (source.has(concat(prefix, "embed_tokens.weight"))) return prefix;
  return "model.";
}

class Loader {
 public:
  Loader(const Config& config, const weights::WeightSource& source, DType compute, Isa isa,
         ThreadTeam& team)
      : config_(config),
        source_(source),
        prefix_(find_prefix(source)),
        compute_(compute),
        isa_(isa),
        team_(team) {}

  Result<WeightView> matrix(const std::string& name, int64_t rows, int64_t cols) const {
    return source_.matrix(prefix_ + name, rows, cols);
  }

  Result<std::vector<float>> norm(const std::string& name, int64_t size) const {
    SIS_ASSIGN(auto scale, source_.vector(prefix_ + name + ".weight", size));
    for (float& value : scale) value += config_.norm_offset;
    return scale;
  }

  struct Part {
    std::string name;
    int64_t out;
  };
  // Parts stacked along out, or a gate and what it gates.
  Result<ops::Linear> linear(const std::vector<Part>& parts, int64_t in, bool bias,
                             bool gated = false) const {
    std::vector<WeightView> weights, biases;
    for (const auto& part : parts) {
      SIS_ASSIGN(const WeightView weight,
                 source_.linear(prefix_ + part.name + ".weight", part.out, in));
      weights.push_back(weight);
      if (!bias) continue;
      SIS_ASSIGN(const WeightView values, matrix(part.name + ".bias", 1, part.out));
      biases.push_back(values);
    }
    const auto pack = gated ? &ops::Linear::pack_gated : &ops::Linear::pack;
    auto packed = pack(weights, biases, compute_, isa_, team_, &arena_);
    if (!packed.ok()) return prefixed(prefix_ + parts[0].name, std::move(packed).error());
    for (const auto& part : parts) source_.release(prefix_ + part.name + ".weight");
    return packed;
  }

  Result<ops::Linear> head(WeightView embedding) const {
    const std::string name = "lm_head.weight";
    // Some checkpoints say that the head is tied and still carry one; it is the same then.
    WeightView weight = embedding;
    if (!config_.tied_head) {
      for (const std::string at : {"", "language_model."})
        if (source_.has(at + name)) {
          SIS_ASSIGN(weight, source_.matrix(at + name, config_.vocab, config_.hidden));
          auto packed = pack_head(weight);
          source_.release(at + name);
          return packed;
        }
      return Error{Code::kInvalidArgument, concat("tensor ", in_quotes(name), " is missing")};
    }
    return pack_head(weight);
  }

 private:
  Result<ops::Linear> pack_head(WeightView weight) const {
    auto packed = ops::Linear::pack({&weight, 1}, {}, compute_, isa_, team_);
    if (!packed.ok()) return prefixed("head", std::move(packed).error());
    return packed;
  }

  const Config& config_;
  const weights::WeightSource& source_;
  const std::string prefix_;
  const DType compute_;
  const Isa isa_;
  ThreadTeam& team_;
  mutable ops::WeightArena arena_;  // layers share large pages
};

}  // namespace

Result<Weights> load_weights(const Config& config, std::unique_ptr<weights::WeightSource> source,
                             bool with_head, DType compute, Isa isa, ThreadTeam& team) {
  Weights w;
  const Loader load(config, *source, compute, isa, team);
  const int64_t hidden = config.hidden, intermediate = config.intermediate;
  const int64_t queries = int64_t{config.heads} * config.head_dim;
  const int64_t keys = int64_t{config.kv_heads} * config.head_dim;
  SIS_ASSIGN(w.embedding, load.matrix("embed_tokens.weight", config.vocab, hidden));
  SIS_ASSIGN(w.final_norm, load.norm("norm", hidden));
  w.bytes = w.embedding.bytes();
  if (with_head) {
    SIS_ASSIGN(w.head, load.head(w.embedding));
    w.bytes += w.head.bytes();
  }
  w.layers.reserve(config.layers);
  for (int32_t i = 0; i < config.layers; ++i) {
    const std::string at = concat("layers.", i, ".");
    Layer layer;
    SIS_ASSIGN(layer.attention_norm, load.norm(at + "input_layernorm", hidden));
    if (config.qk_norm) {
      SIS_ASSIGN(layer.q_norm, load.norm(at + "self_attn.q_norm", config.head_dim));
      SIS_ASSIGN(layer.k_norm, load.norm(at + "self_attn.k_norm", config.head_dim));
    }
    SIS_ASSIGN(layer.qkv, load.linear({{at + "self_attn.q_proj", queries},
                                       {at + "self_attn.k_proj", keys},
                                       {at + "self_attn.v_proj", keys}},
                                      hidden, config.qkv_bias));
    SIS_ASSIGN(layer.attention_out,
               load.linear({{at + "self_attn.o_proj", hidden}}, queries, config.output_bias));
    if (config.post_norms) {
      SIS_ASSIGN(layer.post_attention_norm, load.norm(at + "post_attention_layernorm", hidden));
      SIS_ASSIGN(layer.feed_forward_norm, load.norm(at + "pre_feedforward_layernorm", hidden));
      SIS_ASSIGN(layer.post_feed_forward_norm,
                 load.norm(at + "post_feedforward_layernorm", hidden));
    } else {
      SIS_ASSIGN(layer.feed_forward_norm, load.norm(at + "post_attention_layernorm", hidden));
    }
    SIS_ASSIGN(layer.gate_up, load.linear({{at + "mlp.gate_proj", intermediate},
                                           {at + "mlp.up_proj", intermediate}},
                                          hidden, config.mlp_bias, true));
    SIS_ASSIGN(layer.down,
               load.linear({{at + "mlp.down_proj", hidden}}, intermediate, config.mlp_bias));
    w.bytes += layer.qkv.bytes() + layer.attention_out.bytes() + layer.gate_up.bytes() +
               layer.down.bytes();
    w.layers.push_back(std::move(layer));
  }
  w.source = std::move(source);
  return w;
}

}  // namespace sis::models::decoder
