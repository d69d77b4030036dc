// What /v1/completions answers: the whole completion, or the chunks of a stream, which look alike.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serve/api/openai/stream.h"

namespace sis::api {

struct CompletionPrinterOptions {
  AnswerHead head;
  size_t prompts = 1;
  int32_t choices = 1;            // per prompt
  int32_t logprobs = -1;          // -1: none; else so many alternatives
  std::vector<std::string> echo;  // by prompt; empty: nothing is echoed
  bool usage_null = false;        // chunks carry "usage":null, because a usage chunk follows
};

std::unique_ptr<AnswerPrinter> completion_printer(CompletionPrinterOptions options);

}  // namespace sis::api
