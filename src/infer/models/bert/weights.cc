#include "infer/models/bert/weights.h"

#include <array>

#include "base/strings.h"

namespace sis::models::bert {
namespace {

// Checkpoints of a bare encoder have no prefix; those saved with a head put the encoder under one.
std::string find_prefix(const weights::WeightSource& source) {
  for (const char* prefix : {"", "bert.", "roberta.", "model."})
    if (source.has(concat(prefix, "embeddings.word_embeddings.weight"))) return prefix;
  return "";
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

  // Early checkpoints say gamma and beta.
  Result<Norm> norm(const std::string& name) const {
    const bool old_names = source_.has(prefix_ + name + ".gamma");
    Norm norm;
    SIS_ASSIGN(norm.gamma,
               source_.vector(prefix_ + name + (old_names ? ".gamma" : ".weight"), config_.hidden));
    SIS_ASSIGN(norm.beta,
               source_.vector(prefix_ + name + (old_names ? ".beta" : ".bias"), config_.hidden));
    return norm;
  }

  Result<ops::Linear> linear(std::span<const std::string> names, int64_t out, int64_t in) const {
    std::vector<WeightView> weights, biases;
    for (const auto& name : names) {
      SIS_ASSIGN(const WeightView weight, matrix(name + ".weight", out, in));
      SIS_ASSIGN(const WeightView bias, matrix(name + ".bias", 1, out));
      weights.push_back(weight);
      biases.push_back(bias);
    }
    auto packed = ops::Linear::pack(weights, biases, compute_, isa_, team_);
    if (!packed.ok()) return prefixed(prefix_ + names[0], std::move(packed).error());
    for (const auto& name : names) source_.release(prefix_ + name + ".weight");
    return packed;
  }

 private:
  const Config& config_;
  const weights::WeightSource& source_;
  const std::string prefix_;
  const DType compute_;
  const Isa isa_;
  ThreadTeam& team_;
};

}  // namespace

Result<Weights> load_weights(const Config& config, std::unique_ptr<weights::WeightSource> source,
                             DType compute, Isa isa, ThreadTeam& team) {
  Weights w;
  const Loader load(config, *source, compute, isa, team);
  SIS_ASSIGN(w.word, load.matrix("embeddings.word_embeddings.weight", config.vocab, config.hidden));
  SIS_ASSIGN(w.position, load.matrix("embeddings.position_embeddings.weight", config.positions_max,
                                     config.hidden));
  SIS_ASSIGN(w.type, load.matrix("embeddings.token_type_embeddings.weight", config.type_vocab,
                                 config.hidden));
  SIS_ASSIGN(w.embedding_norm, load.norm("embeddings.LayerNorm"));
  w.bytes = w.word.bytes() + w.position.bytes() + w.type.bytes();

  const int64_t hidden = config.hidden, intermediate = config.intermediate;
  w.layers.reserve(config.layers);
  for (int32_t i = 0; i < config.layers; ++i) {
    const std::string at = concat("encoder.layer.", i, ".");
    const std::array<std::string, 3> qkv = {at + "attention.self.query", at + "attention.self.key",
                                            at + "attention.self.value"};
    const std::array<std::string, 1> attention_out = {at + "attention.output.dense"};
    const std::array<std::string, 1> up = {at + "intermediate.dense"}, down = {at + "output.dense"};
    Layer layer;
    SIS_ASSIGN(layer.qkv, load.linear(qkv, hidden, hidden));
    SIS_ASSIGN(layer.attention_out, load.linear(attention_out, hidden, hidden));
    SIS_ASSIGN(layer.attention_norm, load.norm(at + "attention.output.LayerNorm"));
    SIS_ASSIGN(layer.up, load.linear(up, intermediate, hidden));
    SIS_ASSIGN(layer.down, load.linear(down, hidden, intermediate));
    SIS_ASSIGN(layer.output_norm, load.norm(at + "output.LayerNorm"));
    w.bytes +=
        layer.qkv.bytes() + layer.attention_out.bytes() + layer.up.bytes() + layer.down.bytes();
    w.layers.push_back(std::move(layer));
  }
  w.source = std::move(source);
  return w;
}

}  // namespace sis::models::bert
