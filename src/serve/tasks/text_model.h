// What a loaded model offers for work on text alone: its tokenizer, without the device.
#pragma once

#include <cstdint>
#include <string>

#include "infer/text/tokenizer/tokenizer.h"

namespace sis::tasks {

struct TextModel {
  std::string name;                            // as clients say it
  const text::Tokenizer* tokenizer = nullptr;  // outlives this
  int32_t tokens_max = 0;                      // context of the model
};

}  // namespace sis::tasks
