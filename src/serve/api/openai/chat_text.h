// What /v1/chat/completions answers: the whole completion, or the chunks of a stream.
#pragma once

#include <memory>
#include <string>

#include "serve/api/openai/stream.h"

namespace sis::api {

struct ChatPrinterOptions {
  AnswerHead head;
  int32_t choices = 1;
  bool logprobs = false;
  bool usage_null = false;  // chunks carry "usage":null, because a usage chunk follows
};

std::unique_ptr<AnswerPrinter> chat_printer(const ChatPrinterOptions& options);

// "stop", "length" or "tool_calls".
const char* finish_word(tasks::FinishReason reason);

}  // namespace sis::api
