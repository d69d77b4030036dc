// A loaded embedding model: tokenizer, encoder and head, ready to turn texts into vectors. A
// classifier is one whose vectors are logits.
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

// What a decoder that judges pairs reads around them:
//   before  first_label FIRST second_label SECOND  after
// Only the middle is cut when a pair is too long, at its end.
struct PairPrompt {
  std::vector<int32_t> before, after;
  std::string first_label, second_label;
};

struct EmbedModel {
  std::string name;  // as clients say it
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::optional<text::ChatTemplates> templates;  // some checkpoints carry one
  std::unique_ptr<nn::Encoder> encoder;
  nn::EmbeddingHead head;
  int32_t tokens_max = 0;  // per text, special tokens included
  std::string prompt;      // put before every text, as the checkpoint's default prompt says
  std::optional<PairPrompt> pair_prompt;  // pairs are written so; none: the tokenizer joins them

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
