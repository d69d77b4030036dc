// The chat templates and special tokens of a checkpoint folder.
//
// Looked for in this order: `chat_template.jinja` with `additional_chat_templates/*.jinja`, then
// `chat_template.json`, then `chat_template` in `tokenizer_config.json` (one text, or a list of
// names and texts). Read once; any thread may use the result.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "infer/text/chat_template/chat_template.h"

namespace sis::text {

class ChatTemplates {
 public:
  // kNotFound when the folder has no template.
  static Result<ChatTemplates> from_folder(const std::string& folder,
                                           const TemplateLimits& limits = {});
  // One template by the name "default"; `special_tokens` is a dict such as {"bos_token": "<s>"}.
  static ChatTemplates from_template(ChatTemplate only,
                                     tmpl::Value special_tokens = tmpl::Value::dict({}));

  // By name; without one "tool_use" if there are tools and such a template, else "default".
  Result<const ChatTemplate*> choose(const std::string& name, bool with_tools) const;

  const std::map<std::string, ChatTemplate>& all() const { return templates_; }
  // bos_token, eos_token, ... as templates see them: a dict of texts.
  const tmpl::Value& special_tokens() const { return special_tokens_; }

 private:
  std::map<std::string, ChatTemplate> templates_;
  tmpl::Value special_tokens_ = tmpl::Value::dict({});
};

}  // namespace sis::text
