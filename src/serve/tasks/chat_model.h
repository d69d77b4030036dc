// A loaded model that generates text: tokenizer, templates, decoder and what its checkpoint says
// about generating.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "infer/nn/decoder.h"
#include "infer/text/chat_template/chat_template_files.h"
#include "infer/text/tokenizer/tokenizer.h"
#include "serve/tasks/generate.h"
#include "serve/tasks/text_model.h"

namespace sis::tasks {

// What generation_config.json recommends; absent members are the server's choice.
struct GenerationConfig {
  std::vector<int32_t> eos_ids;
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<int32_t> top_k;

  // What the checkpoint recommends, else what `otherwise` has.
  GenerateDefaults over(GenerateDefaults otherwise) const {
    otherwise.temperature = temperature.value_or(otherwise.temperature);
    otherwise.top_p = top_p.value_or(otherwise.top_p);
    otherwise.min_p = min_p.value_or(otherwise.min_p);
    otherwise.repetition_penalty = repetition_penalty.value_or(otherwise.repetition_penalty);
    otherwise.top_k = top_k.value_or(otherwise.top_k);
    return otherwise;
  }
};

struct ChatModel {
  std::string name;  // as clients say it
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::optional<text::ChatTemplates> templates;
  std::unique_ptr<nn::Decoder> decoder;
  GenerationConfig generation;

  TextModel text_model() const {
    return {.name = name,
            .tokenizer = tokenizer.get(),
            .templates = templates ? &*templates : nullptr,
            .tokens_max = decoder->info().tokens_max,
            .vocab_size = decoder->info().vocab};
  }
};

}  // namespace sis::tasks
