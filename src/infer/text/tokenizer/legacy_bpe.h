// Byte-level BPE from before tokenizer.json: vocab.json with merges.txt, as GPT-2, RoBERTa, Qwen 2
// and Whisper come.
#pragma once

#include <string>
#include <string_view>

#include "infer/text/tokenizer/legacy_config.h"

namespace sis::text::tok {

// The tokenizer.json that says the same; the config's tokenizer_class decides what is around the
// model.
Result<std::string> byte_level_tokenizer_json(std::string_view vocab_json,
                                              std::string_view merges_txt,
                                              const LegacyFiles& files);

}  // namespace sis::text::tok
