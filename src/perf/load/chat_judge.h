// What a right answer of POST /v1/chat/completions or /v1/completions is, and what its making
// tells.
//
// Whole answer: JSON with an id; every choice there once, with a message of the assistant and a
// finish_reason.
//
// Streamed answer: events of JSON, all with one id; every choice's first delta has the role and its
// last event a finish_reason; `data: [DONE]` ends it. An `error` event fails it with its message.
// Events with neither choices nor usage are skipped.
//
// Completions have a `text` in place of message and delta, and no roles.
//
// A piece of content is a delta with non-empty text (content, reasoning, refusal) or a tool call;
// servers may put several tokens into one. Token counts come from `usage` where it is.
#pragma once

#include <cstdint>
#include <memory>

#include "perf/load/workload.h"

namespace sis::perf {

inline constexpr int kChoicesMax = 128;
inline constexpr size_t kPiecesMax = 1 << 20;  // of one answer

enum class AnswerShape : uint8_t { kChat, kCompletion };

struct ChatJudgeOptions {
  int choices = 1;  // of every answer: the request's `n`
  bool stream = true;
  AnswerShape shape = AnswerShape::kChat;
};

std::unique_ptr<Judge> make_chat_judge(const ChatJudgeOptions& options);

}  // namespace sis::perf
