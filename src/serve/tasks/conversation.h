// A conversation in a request's body -> what a chat template is given.
//
// Read by /apply-template and /tokenize: "messages" with "tools", "documents",
// "add_generation_prompt" (default true), "continue_final_message", and "chat_template_kwargs",
// whose members the template sees as variables.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "infer/text/chat_template/chat_request.h"
#include "serve/tasks/text_model.h"

namespace sis::tasks {

struct Conversation {
  std::string model;  // empty: the first that has a template
  text::ChatRequest request;
};

// Faults are kInvalidArgument with the field in `param`.
Result<Conversation> parse_conversation(std::string_view body);
// The same for a body that is parsed already: a dict.
Result<Conversation> read_conversation(const text::tmpl::Value& fields);

// Values of a body in all: what is far beyond any conversation takes seconds to read.
inline constexpr size_t kBodyValuesMax = 200'000;

// Of all texts in a value, keys left out.
size_t text_bytes(const text::tmpl::Value& value);

// A user's message and nothing else, to be answered.
text::ChatRequest one_message(std::string_view text);

// The prompt. kInvalidArgument when the model has no template, when the template refuses the
// conversation (its line and reason), or when it would make too much of it.
Result<std::string> render_conversation(const Conversation& conversation, const TextModel& model);

}  // namespace sis::tasks
