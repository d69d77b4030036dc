#include "infer/models/registry.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "infer/models/bert/bert.h"
#include "infer/models/decoder/decoder.h"
#include "infer/weights/json_file.h"
#include "infer/weights/source.h"

namespace sis::models {
namespace {

using nlohmann::json;

Result<std::unique_ptr<nn::Encoder>> load_bert(const json& config, const std::string& folder,
                                               const LoadOptions& options, ThreadTeam& team) {
  SIS_ASSIGN(const auto parsed, bert::read_config(config));
  SIS_ASSIGN(auto source, weights::WeightSource::open(folder));
  return bert::load(parsed, std::move(source), options.compute, options.isa, team);
}

Result<std::unique_ptr<nn::Encoder>> load_states(const json& config, const std::string& folder,
                                                 const LoadOptions& options, ThreadTeam& team) {
  SIS_ASSIGN(const auto parsed, decoder::read_config(config));
  SIS_ASSIGN(auto source, weights::WeightSource::open(folder));
  return decoder::load_encoder(parsed, std::move(source), options.compute, options.isa, team);
}

Result<std::unique_ptr<nn::Decoder>> load_causal(const json& config, const std::string& folder,
                                                 const LoadOptions& options, ThreadTeam& team) {
  SIS_ASSIGN(const auto parsed, decoder::read_config(config));
  SIS_ASSIGN(auto source, weights::WeightSource::open(folder));
  const DType kv = options.compute == DType::kF32 ? DType::kF32 : options.kv;
  return decoder::load(parsed, std::move(source), options.compute, kv, options.isa, team);
}

template <class Model>
struct Family {
  const char* model_type;
  Result<std::unique_ptr<Model>> (*load)(const json&, const std::string&, const LoadOptions&,
                                         ThreadTeam&);
};

constexpr Family<nn::Encoder> kEncoders[] = {
    {"bert", load_bert},      {"roberta", load_bert}, {"xlm-roberta", load_bert},
    {"camembert", load_bert}, {"llama", load_states}, {"mistral", load_states},
    {"qwen2", load_states},   {"qwen3", load_states}, {"gemma3_text", load_states},
};
constexpr Family<nn::Decoder> kDecoders[] = {
    {"llama", load_causal}, {"mistral", load_causal},     {"qwen2", load_causal},
    {"qwen3", load_causal}, {"gemma3_text", load_causal}, {"gemma3", load_causal},
};

template <class Model, size_t kCount>
Result<std::unique_ptr<Model>> load_by_type(const Family<Model> (&families)[kCount],
                                            const char* what, const std::string& folder,
                                            const LoadOptions& options, ThreadTeam& team) {
  SIS_ASSIGN(const json config, weights::read_json_file(folder + "/config.json"));
  if (!config.is_object())
    return Error{Code::kInvalidArgument, concat(folder, "/config.json: want an object")};
  const auto type = config.find("model_type");
  if (type == config.end() || !type->is_string())
    return Error{Code::kInvalidArgument, concat(folder, "/config.json: model_type is missing")};
  std::string known;
  for (const auto& family : families) {
    if (*type == family.model_type) {
      auto model = family.load(config, folder, options, team);
      if (!model.ok()) return prefixed(folder, std::move(model).error());
      return model;
    }
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  return Error{Code::kInvalidArgument,
               concat(folder, "/config.json: model_type ", in_quotes(type->get<std::string>()),
                      " is not a supported ", what, " (", known, ")")};
}

}  // namespace

Result<std::unique_ptr<nn::Encoder>> load_encoder(const std::string& folder,
                                                  const LoadOptions& options, ThreadTeam& team) {
  return load_by_type(kEncoders, "encoder", folder, options, team);
}

Result<std::unique_ptr<nn::Decoder>> load_decoder(const std::string& folder,
                                                  const LoadOptions& options, ThreadTeam& team) {
  return load_by_type(kDecoders, "decoder", folder, options, team);
}

}  // namespace sis::models
