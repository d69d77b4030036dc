#include "infer/models/registry.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "infer/models/bert/bert.h"
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

struct EncoderFamily {
  const char* model_type;
  Result<std::unique_ptr<nn::Encoder>> (*load)(const json&, const std::string&, const LoadOptions&,
                                               ThreadTeam&);
};

constexpr EncoderFamily kEncoders[] = {
    {"bert", load_bert},
    {"roberta", load_bert},
    {"xlm-roberta", load_bert},
    {"camembert", load_bert},
};

}  // namespace

Result<std::unique_ptr<nn::Encoder>> load_encoder(const std::string& folder,
                                                  const LoadOptions& options, ThreadTeam& team) {
  SIS_ASSIGN(const json config, weights::read_json_file(folder + "/config.json"));
  if (!config.is_object())
    return Error{Code::kInvalidArgument, concat(folder, "/config.json: want an object")};
  const auto type = config.find("model_type");
  if (type == config.end() || !type->is_string())
    return Error{Code::kInvalidArgument, concat(folder, "/config.json: model_type is missing")};
  std::string known;
  for (const auto& family : kEncoders) {
    if (*type == family.model_type) {
      auto encoder = family.load(config, folder, options, team);
      if (!encoder.ok()) return prefixed(folder, std::move(encoder).error());
      return encoder;
    }
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  return Error{Code::kInvalidArgument,
               concat(folder, "/config.json: model_type ", in_quotes(type->get<std::string>()),
                      " is not a supported encoder (", known, ")")};
}

}  // namespace sis::models
