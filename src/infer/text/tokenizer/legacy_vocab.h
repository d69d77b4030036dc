// Checkpoints from before tokenizer.json: BERT's vocab.txt with tokenizer_config.json.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::text::tok {

// The tokenizer.json that says the same. `vocab_txt` has one token per line; `tokenizer_config` is
// the whole of tokenizer_config.json, empty when there is none.
Result<std::string> bert_tokenizer_json(std::string_view vocab_txt,
                                        std::string_view tokenizer_config);

}  // namespace sis::text::tok
