// The grammar of tool calls in each family's form: what tool_calls.h reads, with arguments that the
// tools' schemas take.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/text/grammar/source.h"
#include "serve/tasks/generate.h"
#include "serve/tasks/tool_calls.h"

namespace sis::tasks {

// The text that every call of this form begins with, and nothing else does; empty where plain text
// may begin like a call.
std::string_view opening_of_calls(ToolFormat format);

// One call of one of `tools`, of which there is at least one; with `parallel` more of them where
// the form has room. Errors in schemas say "tools[0].function.parameters.properties.x".
// kInvalidArgument: a tool with more parameters, or more text in their schemas, than the forms that
// write each argument by itself have room for.
Result<text::GrammarSource> tool_call_grammar(ToolFormat format, const std::vector<Tool>& tools,
                                              bool parallel);

}  // namespace sis::tasks
