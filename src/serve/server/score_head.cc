#include "serve/server/score_head.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "infer/weights/json_file.h"
#include "infer/weights/source.h"

namespace sis::server {
namespace {

using nlohmann::json;

// As Qwen3-Reranker was trained to be asked; the instruction is its default.
constexpr const char* kYesNoBefore =
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    "the Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n"
    "<|im_start|>user\n";
constexpr const char* kYesNoAfter = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
constexpr const char* kYesNoQuery =
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
    "<Query>: ";
constexpr const char* kYesNoDocument = "\n<Document>: ";

bool is_causal(const json& config) {
  const auto it = config.find("architectures");
  return it != config.end() && it->is_array() && !it->empty() && it->front().is_string() &&
         it->front().get<std::string>().ends_with("ForCausalLM");
}

Result<ScoreHead> read_yes_no_head(const json& config, const std::string& folder,
                                   const text::Tokenizer& tokenizer) {
  const auto type = config.find("model_type");
  if (type == config.end() || *type != "qwen3")
    return Error{Code::kInvalidArgument,
                 concat(folder,
                        "/config.json: only decoders of model_type qwen3 (Qwen3-Reranker) "
                        "rerank without a classification head")};
  SIS_ASSIGN(const auto source, weights::WeightSource::open(folder));
  nn::HeadConfig::Dense answer{folder, "", "identity"};
  for (const char* name : {"lm_head", "model.embed_tokens", "embed_tokens"})
    if (answer.name.empty() && source->has(concat(name, ".weight"))) answer.name = name;
  if (answer.name.empty())
    return Error{Code::kInvalidArgument,
                 concat(folder, ": no output layer (want lm_head.weight or embed_tokens.weight)")};
  for (const char* word : {"no", "yes"}) {
    const auto id = tokenizer.token_to_id(word);
    if (!id)
      return Error{Code::kInvalidArgument,
                   concat(folder, "/tokenizer.json: no token ", in_quotes(word))};
    answer.rows.push_back(*id);
  }
  ScoreHead score;
  score.head.pooling = ops::Pooling::kLast;
  score.head.normalise = false;
  score.head.dense.push_back(std::move(answer));
  score.head.labels = {"no", "yes"};
  const auto ids = [&](const char* text) {
    return tokenizer.encode(text, {.add_special_tokens = false}).ids;
  };
  score.prompt = tasks::PairPrompt{.before = ids(kYesNoBefore),
                                   .after = ids(kYesNoAfter),
                                   .first_label = kYesNoQuery,
                                   .second_label = kYesNoDocument};
  return score;
}

}  // namespace

Result<ScoreHead> read_score_head(const std::string& folder, bool rerank,
                                  const text::Tokenizer& tokenizer) {
  SIS_ASSIGN(const json config, weights::read_json_file(folder + "/config.json"));
  if (rerank && is_causal(config)) return read_yes_no_head(config, folder, tokenizer);
  ScoreHead score;
  SIS_ASSIGN(score.head, nn::read_classification_head(folder));
  return score;
}

}  // namespace sis::server
