// Tokenizers that come as a SentencePiece .model, as XLM-R, T5, Llama and Gemma do.
#pragma once

#include <string>
#include <string_view>

#include "infer/text/tokenizer/legacy_config.h"

namespace sis::text::tok {

// The tokenizer.json that says the same; the config's tokenizer_class decides which ids pieces have
// and what is around the model.
Result<std::string> sentencepiece_tokenizer_json(std::string_view model_file,
                                                 const LegacyFiles& files);

}  // namespace sis::text::tok
