#include "serve/server/mock_loader.h"

#include "infer/models/mock/mock.h"

namespace sis::server {
namespace {

constexpr int32_t kEmbedTokensMax = 8192;

}  // namespace

models::MockOptions mock_options(const ModelEntry& entry, const Settings& settings) {
  models::MockOptions options;
  for (const MockField& field : mock_fields()) {
    options.*field.value = settings.number(field.setting);
    if (const auto own = entry.mock->find(field.name); own != entry.mock->end())
      options.*field.value = own->second;
  }
  return options;
}

Result<tasks::EmbedModel> make_mock_embed_model(const ModelEntry& entry,
                                                const models::MockOptions& options,
                                                engine::DeviceExecutor& executor) {
  tasks::EmbedModel model;
  model.name = entry.name;
  model.any_dimensions = entry.matryoshka;
  model.dimensions_allowed = {entry.dimensions.begin(), entry.dimensions.end()};
  const std::string tokenizer = models::MockVocabulary().tokenizer_json(/*marks_answers=*/false);
  SIS_ASSIGN(model.tokenizer, text::Tokenizer::from_json(tokenizer));
  model.encoder = models::make_mock_encoder(options);
  SIS_TRY(executor.try_call([&](ops::Context& context) -> Status {
    SIS_ASSIGN(model.head, nn::EmbeddingHead::load({}, model.encoder->info().hidden, context.isa,
                                                   context.team));
    return {};
  }));
  model.tokens_max = kEmbedTokensMax;
  return model;
}

Result<tasks::ChatModel> make_mock_chat_model(const ModelEntry& entry,
                                              const models::MockOptions& options) {
  const models::MockVocabulary words;
  tasks::ChatModel model;
  model.name = entry.name;
  const std::string tokenizer = words.tokenizer_json(/*marks_answers=*/true);
  SIS_ASSIGN(model.tokenizer, text::Tokenizer::from_json(tokenizer));
  using text::tmpl::Value;
  SIS_ASSIGN(auto parsed, text::ChatTemplate::parse(models::MockVocabulary::chat_template()));
  model.templates.emplace(text::ChatTemplates::from_template(
      std::move(parsed),
      Value::dict({{Value::string("eos_token"),
                    Value::string(std::string(models::MockVocabulary::end_token()))}})));
  model.decoder = models::make_mock_decoder(options);
  model.generation.eos_ids = {words.end()};
  return model;
}

}  // namespace sis::server
