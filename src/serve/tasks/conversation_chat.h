// The conversation of POST /v1/chat/completions -> what a chat template is given.
//
// parse_conversation()'s rules and OpenAI's: every message's role and members are checked, text
// parts become one text (a line each), arguments of tool calls become objects where they are JSON,
// the deprecated "functions", "function_call" and role "function" become tools, and "developer"
// becomes "system" where the template does not know that role.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/text/chat_template/chat_request.h"
#include "serve/tasks/text_model.h"

namespace sis::tasks {

// What the caller made of other fields of the body.
struct ChatView {
  // Names of the tools that the template sees, in the request's order; absent: all of them.
  std::optional<std::vector<std::string>> tools;
  std::string reasoning_effort;  // empty: not said. "none" is the variable enable_thinking = false,
                                 // others are the variable reasoning_effort
  std::string verbosity;         // the variable of that name
  // Said to the model besides: at the end of the leading system messages, or of the first user's
  // message where the template takes no system message.
  std::string instruction;
};

// `body` is a JSON object whose tools the caller has checked. Faults are kInvalidArgument with the
// field in `param`, such as "messages[3].content[0].type".
Result<text::ChatRequest> parse_chat(std::string_view body, const ChatView& view,
                                     const TextModel& model);

}  // namespace sis::tasks
