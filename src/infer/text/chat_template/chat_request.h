// From a conversation to a prompt, with transformers' rules around the template: which template,
// what it is given, how a last message is continued.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "infer/text/chat_template/chat_template.h"
#include "infer/text/chat_template/chat_template_files.h"

namespace sis::text {

struct ChatRequest {
  tmpl::Value messages;                         // a list of dicts
  tmpl::Value tools = tmpl::Value::none();      // a list of JSON schemas
  tmpl::Value documents = tmpl::Value::none();  // a list of dicts
  bool add_generation_prompt = false;
  // The last message is left open, so that the model goes on with this field of it ("content").
  std::optional<std::string> continue_final_message;
  tmpl::Value variables = tmpl::Value::dict({});  // whatever else the template may know: a dict
  std::string template_name;  // empty: "tool_use" when there are tools and such a template
};

Result<std::string> apply_chat_template(const ChatTemplates& templates, const ChatRequest& request,
                                        const RenderOptions& options = {});

}  // namespace sis::text
