// A loaded embedding model: tokenizer, encoder and head, ready to turn texts into vectors.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "infer/nn/embedding_head.h"
#include "infer/nn/encoder.h"
#include "infer/text/chat_template/chat_template_files.h"
#include "infer/text/tokenizer/tokenizer.h"

namespace sis::tasks {

struct EmbedModel {
  std::string name;  // as clients say it
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::optional<text::ChatTemplates> templates;  // some checkpoints carry one
  std::unique_ptr<nn::Encoder> encoder;
  nn::EmbeddingHead head;
  int32_t tokens_max = 0;  // per text, special tokens included
  std::string prompt;      // put before every text, as the checkpoint's default prompt says

  // `dimensions` a request may ask for: none, any up to the model's (Matryoshka training), or
  // these.
  bool any_dimensions = false;
  std::vector<int32_t> dimensions_allowed;

  int32_t dimensions() const { return head.dimensions(); }
};

// Vectors of one ragged batch, [sequences, dimensions] in the workspace: valid until its next
// reset.
Mat<float> embed_batch(const EmbedModel& model, ops::Context& context,
                       const nn::RaggedBatch& batch);

}  // namespace sis::tasks
