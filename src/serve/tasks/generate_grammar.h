// Which grammar a request's answer is held to: its response format, and the calls it must make.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "infer/text/grammar/source.h"
#include "serve/tasks/generate.h"
#include "serve/tasks/reasoning.h"
#include "serve/tasks/tool_calls.h"

namespace sis::tasks {

struct GrammarWish {
  std::string key;  // equal for equal grammars
  // To be called while the request lives. Errors as tool_call_grammar() has them.
  std::function<Result<text::GrammarSource>()> source;
};

// Null: any text. A required call is all there is; a format and tools that may be called give
// "either"; a model that thinks may do so first. Tools that may be called without a format are left
// to the model.
std::optional<GrammarWish> choose_grammar(const GenerateCall& call, ToolFormat format,
                                          ReasoningSplit::Start reasoning);

}  // namespace sis::tasks
