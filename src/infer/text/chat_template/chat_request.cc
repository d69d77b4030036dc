#include "infer/text/chat_template/chat_request.h"

#include <algorithm>

#include "infer/text/chat_template/unicode.h"

namespace sis::text {
namespace {

using tmpl::Kind;
using tmpl::Value;

constexpr std::string_view kContinueTag = "CONTINUE_FINAL_MESSAGE_TAG ";
constexpr std::string_view kContinueTagTrimmed = "CONTINUE_FINAL_MESSAGE_TAG";
// Names that reasoning goes by; the first is the standard one.
constexpr std::string_view kReasoningFields[] = {"reasoning_content", "thinking", "reasoning"};
constexpr std::string_view kReserved[] = {"messages", "tools", "documents",
                                          "add_generation_prompt"};

Error invalid(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

const Value* find(const Value& dict, std::string_view key) { return dict.as_dict().find(key); }

Status want_dicts(const Value& list, std::string_view what) {
  if (list.is(Kind::kNone)) return {};
  if (!list.is_sequence())
    return invalid(concat(what, ": want a list, found ", tmpl::type_name(list)));
  for (size_t i = 0; i < list.items().size(); ++i)
    if (!list.items()[i].is(Kind::kDict))
      return invalid(
          concat(what, "[", i, "]: want an object, found ", tmpl::type_name(list.items()[i])));
  return {};
}

// Nulls are dropped, because many templates would print them; reasoning goes by all its names.
Value tidied(const Value& message) {
  Value::Entries kept;
  const Value* reasoning = nullptr;
  for (std::string_view field : kReasoningFields) {
    const Value* found = find(message, field);
    if (reasoning == nullptr && found != nullptr && !found->is(Kind::kNone)) reasoning = found;
  }
  if (reasoning != nullptr) kept.emplace_back(Value::string("thinking"), *reasoning);
  for (const auto& [key, value] : message.entries())
    if (!value.is(Kind::kNone)) kept.emplace_back(key, value);
  if (reasoning != nullptr) kept.emplace_back(Value::string("reasoning_content"), *reasoning);
  return Value::dict(std::move(kept));
}

Value with_entry(const Value& dict, std::string_view key, Value value) {
  Value::Entries entries = dict.entries();
  entries.emplace_back(Value::string(std::string(key)), std::move(value));
  return Value::dict(std::move(entries));
}

// Python's `"text" in part`, which only parts that are dicts get past.
Result<bool> has_text(const Value& part) {
  constexpr std::string_view kText = "text";
  if (part.is(Kind::kDict)) return find(part, kText) != nullptr;
  bool inside = !part.is_string() && !part.is_sequence();
  if (part.is_string()) inside = part.text().find(kText) != std::string_view::npos;
  if (part.is_sequence())
    for (const Value& item : part.items()) inside |= item.is_string() && item.text() == kText;
  if (inside)
    return invalid(concat("continue_final_message: want parts that are objects, found ",
                          tmpl::type_name(part)));
  return false;
}

// What the prompt must contain, and the conversation with its end marked.
struct Continuation {
  std::string final_text;
  Value messages;
};

Result<Continuation> mark_end(const Value::Items& messages, const std::string& field,
                              std::string_view source) {
  Value last = messages.back();
  const Value* found = find(last, field);
  if (found == nullptr)
    return invalid(concat("continue_final_message is set but the final message has no \"", field,
                          "\" to continue"));
  Value content = *found;
  std::vector<std::string_view> fields{field};
  if (std::find(std::begin(kReasoningFields), std::end(kReasoningFields), field) !=
      std::end(kReasoningFields)) {
    fields.clear();
    tmpl::Meter meter(1 << 20, 1 << 20);
    for (std::string_view name : kReasoningFields) {
      const Value* copy = find(last, name);
      if (copy != nullptr && copy->is_string() && content.is_string() &&
          copy->text() == content.text())
        fields.push_back(name);
    }
    if (fields.empty()) fields.push_back(field);
  }
  if (std::none_of(fields.begin(), fields.end(), [&](std::string_view name) {
        return source.find(name) != std::string_view::npos;
      }))
    return invalid(concat("continue_final_message is set to \"", field,
                          "\" but the chat template does not mention that field"));
  Continuation made;
  if (content.is_sequence()) {
    // The last part with text.
    Value::Items parts = content.items();
    size_t i = parts.size();
    for (; i > 0; --i) {
      SIS_ASSIGN(const bool found_text, has_text(parts[i - 1]));
      if (found_text) break;
    }
    if (i == 0 || !find(parts[i - 1], "text")->is_string())
      return invalid(
          "continue_final_message is set but the final message has no text part to continue");
    made.final_text = find(parts[i - 1], "text")->text();
    parts[i - 1] = with_entry(parts[i - 1], "text",
                              Value::string(made.final_text + std::string(kContinueTag)));
    last = with_entry(last, field, Value::list(std::move(parts)));
  } else if (content.is_string()) {
    made.final_text = content.text();
    for (std::string_view name : fields)
      last = with_entry(last, name, Value::string(made.final_text + std::string(kContinueTag)));
  } else {
    return invalid(concat("continue_final_message: want text or a list of parts in \"", field,
                          "\", found ", tmpl::type_name(content)));
  }
  Value::Items all = messages;
  all.back() = std::move(last);
  made.messages = Value::list(std::move(all));
  return made;
}

Result<std::string> cut_at_mark(std::string prompt, const std::string& final_text) {
  const std::string_view shown = tmpl::strip(final_text);
  const size_t at = prompt.rfind(kContinueTagTrimmed);
  if (at == std::string::npos || tmpl::find_text(prompt, shown) == std::string_view::npos)
    return invalid(
        concat("continue_final_message is set but the final message does not appear in the chat "
               "after applying the chat template; it may drop parts of the final message, which "
               "begins ",
               in_quotes(shown)));
  const bool spacing_kept = std::string_view(prompt).substr(at).starts_with(kContinueTag);
  prompt.resize(at);
  if (!spacing_kept) prompt.resize(tmpl::strip_right(prompt).size());
  return prompt;
}

}  // namespace

Result<std::string> apply_chat_template(const ChatTemplates& templates, const ChatRequest& request,
                                        const RenderOptions& options) {
  const bool with_tools = !request.tools.is(Kind::kNone);
  SIS_ASSIGN(const ChatTemplate* chosen, templates.choose(request.template_name, with_tools));
  if (request.messages.is(Kind::kNone)) return invalid("messages: want a list, found nothing");
  SIS_TRY(want_dicts(request.messages, "messages"));
  SIS_TRY(want_dicts(request.tools, "tools"));
  SIS_TRY(want_dicts(request.documents, "documents"));
  if (!request.variables.is(Kind::kDict))
    return invalid(
        concat("template variables: want an object, found ", tmpl::type_name(request.variables)));
  for (std::string_view name : kReserved)
    if (find(request.variables, name) != nullptr)
      return invalid(concat("template variables: '", name, "' is given elsewhere in the request"));
  if (request.messages.items().empty())
    return invalid("messages: cannot apply a chat template to an empty conversation");
  if (request.continue_final_message && request.add_generation_prompt)
    return invalid("continue_final_message and add_generation_prompt exclude each other");

  Value::Items messages;
  for (const Value& message : request.messages.items()) messages.push_back(tidied(message));
  std::string final_text;
  Value conversation;
  if (request.continue_final_message) {
    SIS_ASSIGN(Continuation marked,
               mark_end(messages, *request.continue_final_message, chosen->source()));
    final_text = std::move(marked.final_text);
    conversation = std::move(marked.messages);
  } else {
    conversation = Value::list(std::move(messages));
  }

  Value::Entries context = templates.special_tokens().entries();
  for (const auto& [name, value] : request.variables.entries()) context.emplace_back(name, value);
  const auto give = [&](std::string_view name, Value value) {
    context.emplace_back(Value::string(std::string(name)), std::move(value));
  };
  give("messages", std::move(conversation));
  give("tools", request.tools);
  give("documents", request.documents);
  give("add_generation_prompt", Value::boolean(request.add_generation_prompt));
  SIS_ASSIGN(std::string prompt, chosen->render(Value::dict(std::move(context)), options));
  if (!request.continue_final_message) return prompt;
  return cut_at_mark(std::move(prompt), final_text);
}

}  // namespace sis::text
