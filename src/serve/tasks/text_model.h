// What a loaded model offers for work on text alone: tokenizer and chat templates, no device.
#pragma once

#include <cstdint>
#include <string>

#include "infer/text/chat_template/chat_template_files.h"
#include "infer/text/tokenizer/tokenizer.h"

namespace sis::tasks {

// Views; the model that owns them outlives this.
struct TextModel {
  std::string name;  // as clients say it
  const text::Tokenizer* tokenizer = nullptr;
  const text::ChatTemplates* templates = nullptr;  // null: the checkpoint has none
  int32_t tokens_max = 0;                          // context of the model
  int32_t vocab_size = 0;                          // of its logits; 0: the tokenizer's
};

}  // namespace sis::tasks
