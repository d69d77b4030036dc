#include "serve/server/embed_loader.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "infer/models/registry.h"
#include "infer/weights/json_file.h"
#include "serve/server/score_head.h"
#include "serve/server/text_loader.h"

namespace sis::server {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// model_max_length of tokenizer_config.json; absent or "very large" means no limit of its own.
Result<std::optional<int32_t>> tokenizer_limit(const std::string& folder) {
  const std::string file = folder + "/tokenizer_config.json";
  if (!fs::exists(file)) return std::optional<int32_t>();
  SIS_ASSIGN(const json config, weights::read_json_file(file));
  const auto it = config.find("model_max_length");
  if (it == config.end() || !it->is_number()) return std::optional<int32_t>();
  const double limit = it->get<double>();
  return limit >= 1 && limit < (1 << 24) ? std::optional(static_cast<int32_t>(limit))
                                         : std::nullopt;
}

// The prompt that sentence-transformers puts before every text unless told otherwise.
Result<std::string> default_prompt(const std::string& folder) {
  const std::string file = folder + "/config_sentence_transformers.json";
  if (!fs::exists(file)) return std::string();
  SIS_ASSIGN(const json config, weights::read_json_file(file));
  const auto name = config.find("default_prompt_name");
  if (name == config.end() || !name->is_string()) return std::string();
  const auto prompts = config.find("prompts");
  if (prompts == config.end() || !prompts->is_object() || !prompts->contains(*name) ||
      !(*prompts)[name->get<std::string>()].is_string())
    return Error{Code::kInvalidArgument,
                 concat(file, ": default_prompt_name ", in_quotes(name->get<std::string>()),
                        " is not among prompts")};
  return (*prompts)[name->get<std::string>()].get<std::string>();
}

}  // namespace

Result<DType> choose_dtype(const std::string& word, Isa isa) {
  if (word == "f32") return DType::kF32;
  if (word == "bf16") return DType::kBf16;
  if (word == "int8") return DType::kI8;
  if (word == "int4") return DType::kI4;
  if (word == "auto") return isa >= Isa::kAvx512Bf16 ? DType::kBf16 : DType::kF32;
  return Error{Code::kInvalidArgument,
               concat("dtype: want f32, bf16, int8, int4 or auto, got ", in_quotes(word))};
}

Result<std::unique_ptr<nn::Encoder>> load_encoder(const EmbedLoadOptions& options,
                                                  engine::DeviceExecutor& executor) {
  SIS_ASSIGN(const DType compute, choose_dtype(options.dtype, executor.isa()));
  std::unique_ptr<nn::Encoder> encoder;
  SIS_TRY(executor.try_call([&](ops::Context& context) -> Status {
    SIS_ASSIGN(encoder,
               models::load_encoder(options.folder, {.compute = compute, .isa = context.isa},
                                    context.team));
    return {};
  }));
  return encoder;
}

Result<tasks::EmbedModel> load_embed_model(const EmbedLoadOptions& options,
                                           engine::DeviceExecutor& executor) {
  if (!fs::is_directory(options.folder))
    return Error{Code::kNotFound,
                 concat("model ", options.name, ": no folder ", in_quotes(options.folder))};
  nn::HeadConfig head_config;
  if (options.head == EmbedHead::kEmbedding) {
    SIS_ASSIGN(head_config, nn::read_head_config(options.folder));
  }
  if (options.pooling) {
    head_config.pooling = *options.pooling;
    head_config.normalise = true;
  }

  tasks::EmbedModel model;
  model.name = options.name;
  model.any_dimensions = options.any_dimensions;
  model.dimensions_allowed = options.dimensions_allowed;
  SIS_ASSIGN(model.tokenizer, text::Tokenizer::from_folder(options.folder));
  SIS_ASSIGN(model.templates, load_templates(options.folder));
  if (options.head == EmbedHead::kEmbedding) {
    SIS_ASSIGN(model.prompt, default_prompt(options.folder));
  } else {
    SIS_ASSIGN(auto score, read_score_head(options.folder, options.head == EmbedHead::kRerank,
                                           *model.tokenizer));
    head_config = std::move(score.head);
    model.pair_prompt = std::move(score.prompt);
  }

  SIS_ASSIGN(model.encoder, load_encoder(options, executor));
  SIS_TRY(executor.try_call([&](ops::Context& context) -> Status {
    SIS_ASSIGN(model.head, nn::EmbeddingHead::load(head_config, model.encoder->info().hidden,
                                                   context.isa, context.team));
    return {};
  }));

  model.tokens_max = model.encoder->info().tokens_max;
  SIS_ASSIGN(const auto limit, tokenizer_limit(options.folder));
  if (head_config.tokens_max)
    model.tokens_max = std::min(model.tokens_max, *head_config.tokens_max);
  else if (limit)
    model.tokens_max = std::min(model.tokens_max, *limit);
  return model;
}

}  // namespace sis::server
