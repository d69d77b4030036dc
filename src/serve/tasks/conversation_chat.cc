#include "serve/tasks/conversation_chat.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "infer/text/chat_template/json_text.h"
#include "serve/tasks/conversation.h"

namespace sis::tasks {
namespace {

using text::tmpl::Kind;
using text::tmpl::Value;

constexpr int kBodyDepthMax = 100, kArgumentsDepthMax = 64;

Error invalid(std::string message, std::string param) {
  return {Code::kInvalidArgument, std::move(message), std::move(param)};
}

Error unwanted(const std::string& param, const char* wanted, const Value* got) {
  return invalid(
      concat(param, ": want ", wanted, ", got ", got ? text::tmpl::type_name(*got) : "nothing"),
      param);
}

Value key(std::string_view name) { return Value::string(std::string(name)); }

// The member, or null where it is absent or null.
const Value* member(const Value& dict, std::string_view name) {
  const Value* value = dict.as_dict().find(name);
  return value == nullptr || value->is(Kind::kNone) ? nullptr : value;
}

// A non-empty string member.
Result<std::string> text_member(const Value& dict, const char* name, const std::string& place) {
  const Value* value = member(dict, name);
  const std::string param = concat(place, ".", name);
  if (value == nullptr || !value->is_string() || value->text().empty())
    return unwanted(param, "a non-empty string", value);
  return std::string(value->text());
}

Result<std::string> join_parts(const Value& content, std::string_view role,
                               const std::string& place, const TextModel& model) {
  std::string joined;
  for (size_t i = 0; i < content.items().size(); ++i) {
    const Value& part = content.items()[i];
    const std::string param = concat(place, "[", i, "]");
    if (!part.is(Kind::kDict)) return unwanted(param, "an object", &part);
    SIS_ASSIGN(const std::string type, text_member(part, "type", param));
    const bool refusal = type == "refusal" && role == "assistant";
    if (type == "image_url" || type == "input_audio" || type == "file" || type == "video_url")
      return invalid(concat(param, ".type: model ", in_quotes(model.name),
                            " takes text only, got a part of type ", in_quotes(type)),
                     concat(param, ".type"));
    if (type != "text" && !refusal)
      return invalid(concat(param, ".type: want 'text', got ", in_quotes(type)),
                     concat(param, ".type"));
    const char* name = refusal ? "refusal" : "text";
    const Value* text = member(part, name);
    if (text == nullptr || !text->is_string())
      return unwanted(concat(param, ".", name), "a string", text);
    if (i > 0) joined += '\n';
    joined += text->text();
  }
  return joined;
}

// A message on its way to the template.
class MessageReader {
 public:
  MessageReader(const Value& message, std::string place, const TextModel& model,
                bool developer_known)
      : message_(message),
        place_(std::move(place)),
        model_(model),
        developer_known_(developer_known) {}

  Result<Value> read() {
    SIS_ASSIGN(const std::string role, text_member(message_, "role", place_));
    role_ = role;
    if (role == "developer" && !developer_known_) role_ = "system";
    if (role == "function") role_ = "tool";
    if (role_ != "system" && role_ != "developer" && role_ != "user" && role_ != "assistant" &&
        role_ != "tool")
      return invalid(concat(place_, ".role: want system, developer, user, assistant or tool, got ",
                            in_quotes(role)),
                     concat(place_, ".role"));
    give("role", Value::string(role_));
    SIS_TRY(read_content());
    if (const Value* name = member(message_, "name"); name != nullptr && !name->is_string())
      return unwanted(concat(place_, ".name"), "a string", name);
    if (role == "function") SIS_TRY(text_member(message_, "name", place_));
    if (role == "tool") SIS_TRY(text_member(message_, "tool_call_id", place_));
    if (role_ == "assistant") SIS_TRY(read_assistant());
    // What else is there belongs to the template: name, tool_call_id, reasoning_content, ...
    for (const auto& [name, value] : message_.entries()) {
      const std::string_view word = name.text();
      if (word != "role" && word != "content" && word != "tool_calls" && word != "function_call" &&
          word != "refusal" && word != "audio")
        kept_.emplace_back(name, value);
    }
    return Value::dict(std::move(kept_));
  }

 private:
  void give(std::string_view name, Value value) { kept_.emplace_back(key(name), std::move(value)); }

  Status read_content() {
    const Value* content = member(message_, "content");
    const std::string param = place_ + ".content";
    if (content == nullptr && role_ == "assistant") {
      content = member(message_, "refusal");
      if (content == nullptr) {
        // Of what is no array read_assistant() says so.
        const Value* calls = member(message_, "tool_calls");
        const bool none = calls == nullptr || (calls->is(Kind::kList) && calls->items().empty());
        if (none && member(message_, "function_call") == nullptr)
          return invalid(concat(param, ": an assistant's message wants content or tool_calls"),
                         param);
        return {};
      }
    }
    if (content == nullptr) return invalid(concat(param, " is missing"), param);
    if (content->is_string()) {
      give("content", *content);
      return {};
    }
    if (!content->is(Kind::kList)) return unwanted(param, "a string or an array of parts", content);
    SIS_ASSIGN(auto joined, join_parts(*content, role_, param, model_));
    give("content", Value::string(std::move(joined)));
    return {};
  }

  Status read_assistant() {
    if (const Value* audio = member(message_, "audio"))
      return invalid(concat(place_, ".audio: model ", in_quotes(model_.name),
                            " takes text only, got ", text::tmpl::type_name(*audio)),
                     concat(place_, ".audio"));
    Value::Items calls;
    if (const Value* given = member(message_, "tool_calls")) {
      const std::string param = place_ + ".tool_calls";
      if (!given->is(Kind::kList)) return unwanted(param, "an array", given);
      for (const Value& call : given->items()) {
        const std::string at = concat(param, "[", calls.size(), "]");
        if (!call.is(Kind::kDict)) return unwanted(at, "an object", &call);
        if (const Value* type = member(call, "type")) {
          if (!type->is_string()) return unwanted(at + ".type", "a string", type);
          if (type->text() != "function")
            return invalid(concat(at, ".type: want 'function', ", in_quotes(type->text()),
                                  " is not supported"),
                           at + ".type");
        }
        const Value* function = member(call, "function");
        if (function == nullptr || !function->is(Kind::kDict))
          return unwanted(at + ".function", "an object", function);
        SIS_ASSIGN(Value read, read_function(*function, at + ".function"));
        Value::Entries entries = call.entries();
        entries.emplace_back(key("type"), key("function"));
        entries.emplace_back(key("function"), std::move(read));
        calls.push_back(Value::dict(std::move(entries)));
      }
    }
    if (const Value* call = member(message_, "function_call")) {
      const std::string param = place_ + ".function_call";
      if (!call->is(Kind::kDict)) return unwanted(param, "an object", call);
      SIS_ASSIGN(Value read, read_function(*call, param));
      calls.push_back(
          Value::dict({{key("type"), key("function")}, {key("function"), std::move(read)}}));
    }
    // Templates test whether the member is there, so an empty list is left out.
    if (!calls.empty()) give("tool_calls", Value::list(std::move(calls)));
    return {};
  }

  // Templates print objects; what is no JSON object stays the text it was.
  Result<Value> read_function(const Value& function, const std::string& place) const {
    SIS_ASSIGN(auto name, text_member(function, "name", place));
    Value::Entries entries{{key("name"), Value::string(std::move(name))}};
    Value arguments = Value::dict({});
    if (const Value* given = member(function, "arguments")) {
      if (!given->is_string() && !given->is(Kind::kDict))
        return unwanted(place + ".arguments", "a string of JSON", given);
      arguments = *given;
      if (given->is_string()) {
        if (trim(given->text()).empty()) {
          arguments = Value::dict({});
        } else if (auto parsed =
                       text::tmpl::from_json(given->text(), "arguments", kArgumentsDepthMax);
                   parsed.ok() && parsed->is(Kind::kDict)) {
          arguments = std::move(*parsed);
        }
      }
    }
    entries.emplace_back(key("arguments"), std::move(arguments));
    return Value::dict(std::move(entries));
  }

  const Value& message_;
  const std::string place_;
  const TextModel& model_;
  const bool developer_known_;
  std::string role_;
  Value::Entries kept_;
};

void add_variable(Value& variables, std::string_view name, Value value) {
  if (variables.as_dict().find(name) != nullptr) return;  // chat_template_kwargs say it
  Value::Entries entries = variables.entries();
  entries.emplace_back(key(name), std::move(value));
  variables = Value::dict(std::move(entries));
}

Value message(std::string_view role, std::string content) {
  return Value::dict({{key("role"), Value::string(std::string(role))},
                      {key("content"), Value::string(std::move(content))}});
}

bool has_role(const Value& message, std::string_view role) {
  return member(message, "role")->text() == role;
}

bool is_shown(const Value& tool, const std::vector<std::string>& names) {
  const Value* function = member(tool, "function");
  if (function == nullptr || !function->is(Kind::kDict)) return false;
  const Value* name = member(*function, "name");
  return name != nullptr && name->is_string() &&
         std::find(names.begin(), names.end(), name->text()) != names.end();
}

// Some templates refuse system messages; which ones, only they know.
bool takes_system(const text::ChatTemplates& templates, const text::ChatRequest& request) {
  text::ChatRequest probe = request;
  probe.messages = Value::list({message("system", "a"), message("user", "b")});
  probe.continue_final_message.reset();
  return text::apply_chat_template(templates, probe).ok();
}

void append_text(Value& message, const std::string& text) {
  const Value* content = member(message, "content");
  std::string whole = content == nullptr ? std::string() : std::string(content->text());
  if (!whole.empty()) whole += "\n\n";
  Value::Entries entries = message.entries();
  entries.emplace_back(key("content"), Value::string(whole + text));
  message = Value::dict(std::move(entries));
}

void add_instruction(const std::string& text, const text::ChatTemplates& templates,
                     const text::ChatRequest& request, Value::Items& messages) {
  size_t leading = 0;
  while (leading < messages.size() &&
         (has_role(messages[leading], "system") || has_role(messages[leading], "developer")))
    ++leading;
  if (leading > 0) return append_text(messages[leading - 1], text);
  if (takes_system(templates, request)) {
    messages.insert(messages.begin(), message("system", text));
    return;
  }
  for (Value& one : messages)
    if (has_role(one, "user")) return append_text(one, text);
}

}  // namespace

Result<text::ChatRequest> parse_chat(std::string_view body, const ChatView& view,
                                     const TextModel& model) {
  auto fields = text::tmpl::from_json(body, "the body", kBodyDepthMax, kBodyValuesMax);
  if (!fields.ok()) return invalid(std::move(fields).error().message, "");
  SIS_CHECK(fields->is(Kind::kDict), "the caller has read it as an object");
  SIS_ASSIGN(auto conversation, read_conversation(*fields));
  text::ChatRequest& request = conversation.request;
  if (model.templates == nullptr)
    return invalid(concat("model ", in_quotes(model.name), " has no chat template"), "model");

  Value::Items functions;
  if (!request.tools.is(Kind::kNone)) functions = request.tools.items();
  if (const Value* deprecated = member(*fields, "functions")) {
    if (!deprecated->is(Kind::kList)) return unwanted("functions", "an array", deprecated);
    for (const Value& function : deprecated->items())
      functions.push_back(
          Value::dict({{key("type"), key("function")}, {key("function"), function}}));
  }
  if (view.tools)
    std::erase_if(functions, [&](const Value& tool) { return !is_shown(tool, *view.tools); });
  request.tools = functions.empty() ? Value::none() : Value::list(std::move(functions));

  const auto chosen = model.templates->choose({}, !request.tools.is(Kind::kNone));
  if (!chosen.ok()) return invalid(chosen.error().message, "messages");
  const bool developer_known = (*chosen)->source().find("developer") != std::string_view::npos;

  Value::Items messages;
  for (const Value& message : request.messages.items()) {
    SIS_ASSIGN(Value read, MessageReader(message, concat("messages[", messages.size(), "]"), model,
                                         developer_known)
                               .read());
    messages.push_back(std::move(read));
  }
  if (!view.instruction.empty())
    add_instruction(view.instruction, *model.templates, request, messages);
  request.messages = Value::list(std::move(messages));

  if (view.reasoning_effort == "none")
    add_variable(request.variables, "enable_thinking", Value::boolean(false));
  else if (!view.reasoning_effort.empty())
    add_variable(request.variables, "reasoning_effort", Value::string(view.reasoning_effort));
  if (!view.verbosity.empty())
    add_variable(request.variables, "verbosity", Value::string(view.verbosity));
  for (const char* name : {"messages", "tools", "documents", "add_generation_prompt"})
    if (request.variables.as_dict().find(name) != nullptr)
      return invalid(concat("chat_template_kwargs: ", name, " is a field of the request"),
                     "chat_template_kwargs");
  return std::move(request);
}

}  // namespace sis::tasks
