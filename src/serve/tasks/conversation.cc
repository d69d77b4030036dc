#include "serve/tasks/conversation.h"

#include "base/strings.h"
#include "infer/text/chat_template/json_text.h"

namespace sis::tasks {
namespace {

using text::tmpl::Kind;
using text::tmpl::Value;

constexpr int kDepthMax = 100;

Error invalid(std::string message, std::string param) {
  return {Code::kInvalidArgument, std::move(message), std::move(param)};
}

// The member, or null where it is absent or null.
const Value* member(const Value& body, std::string_view key) {
  const Value* value = body.as_dict().find(key);
  return value == nullptr || value->is(Kind::kNone) ? nullptr : value;
}

Status want(const Value& value, Kind kind, const char* key, const char* wanted) {
  if (value.is(kind)) return {};
  return invalid(concat(key, ": want ", wanted, ", got ", text::tmpl::type_name(value)), key);
}

Status read_flag(const Value& body, const char* key, bool& flag) {
  const Value* value = member(body, key);
  if (value == nullptr) return {};
  SIS_TRY(want(*value, Kind::kBool, key, "true or false"));
  flag = value->as_bool();
  return {};
}

Status read_list(const Value& body, const char* key, Value& list) {
  const Value* value = member(body, key);
  if (value == nullptr) return {};
  SIS_TRY(want(*value, Kind::kList, key, "an array"));
  for (size_t i = 0; i < value->items().size(); ++i)
    if (!value->items()[i].is(Kind::kDict))
      return invalid(
          concat(key, "[", i, "]: want an object, got ", text::tmpl::type_name(value->items()[i])),
          concat(key, "[", i, "]"));
  list = *value;
  return {};
}

}  // namespace

Result<Conversation> parse_conversation(std::string_view body) {
  auto parsed = text::tmpl::from_json(body, "the body", kDepthMax, kBodyValuesMax);
  if (!parsed.ok()) return invalid(std::move(parsed).error().message, "");
  const Value& fields = *parsed;
  if (!fields.is(Kind::kDict))
    return invalid(concat("the body must be a JSON object, got ", text::tmpl::type_name(fields)),
                   "");
  return read_conversation(fields);
}

Result<Conversation> read_conversation(const Value& fields) {
  Conversation call;
  if (const Value* model = member(fields, "model")) {
    SIS_TRY(want(*model, Kind::kString, "model", "a string"));
    call.model = model->text();
  }
  text::ChatRequest& request = call.request;
  if (member(fields, "messages") == nullptr) return invalid("messages is missing", "messages");
  SIS_TRY(read_list(fields, "messages", request.messages));
  if (request.messages.items().empty()) return invalid("messages is an empty array", "messages");
  SIS_TRY(read_list(fields, "tools", request.tools));
  SIS_TRY(read_list(fields, "documents", request.documents));
  if (member(fields, "chat_template") != nullptr)
    return invalid("chat_template: templates come from the checkpoint only", "chat_template");

  bool continued = false;
  SIS_TRY(read_flag(fields, "continue_final_message", continued));
  request.add_generation_prompt = !continued;
  SIS_TRY(read_flag(fields, "add_generation_prompt", request.add_generation_prompt));
  if (continued && request.add_generation_prompt)
    return invalid("continue_final_message and add_generation_prompt exclude each other",
                   "continue_final_message");
  if (continued) request.continue_final_message = "content";
  if (const Value* variables = member(fields, "chat_template_kwargs")) {
    SIS_TRY(want(*variables, Kind::kDict, "chat_template_kwargs", "an object"));
    request.variables = *variables;
  }
  return call;
}

size_t text_bytes(const Value& value) {
  if (value.is_string()) return value.text().size();
  size_t bytes = 0;
  if (value.is_sequence())
    for (const Value& item : value.items()) bytes += text_bytes(item);
  else if (value.is(Kind::kDict))
    for (const auto& [key, member] : value.entries()) bytes += text_bytes(member);
  return bytes;
}

text::ChatRequest one_message(std::string_view text) {
  using text::tmpl::Value;
  text::ChatRequest request;
  request.add_generation_prompt = true;
  request.messages =
      Value::list({Value::dict({{Value::string("role"), Value::string("user")},
                                {Value::string("content"), Value::string(std::string(text))}})});
  return request;
}

Result<std::string> render_conversation(const Conversation& conversation, const TextModel& model) {
  if (model.templates == nullptr)
    return invalid(concat("model ", in_quotes(model.name), " has no chat template"), "model");
  auto prompt = text::apply_chat_template(*model.templates, conversation.request);
  if (!prompt.ok()) return invalid(prompt.error().message, "messages");
  return prompt;
}

}  // namespace sis::tasks
