// The golden tokenizers, for fuzz targets: built with SIS_GOLDEN_FOLDER.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "infer/text/tokenizer/tokenizer.h"

#ifdef SIS_GOLDEN_FOLDER
namespace sis::text {

inline std::vector<std::unique_ptr<Tokenizer>> golden_tokenizers() {
  std::vector<std::unique_ptr<Tokenizer>> all;
  for (const char* style :
       {"bert-uncased", "bert-cased", "xlmr", "gpt2", "llama3", "qwen2", "gemma", "whisper"}) {
    auto made = Tokenizer::from_folder(std::string(SIS_GOLDEN_FOLDER) + "/" + style);
    if (!made) std::abort();
    all.push_back(std::move(made).value());
  }
  return all;
}

}  // namespace sis::text
#endif
