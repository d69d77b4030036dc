#include "serve/api/openai/chat_json.h"

#include <algorithm>
#include <limits>

#include "base/strings.h"
#include "serve/api/json_body.h"
#include "serve/api/openai/chat_format.h"
#include "serve/tasks/conversation_chat.h"

namespace sis::api {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr int64_t kTokensMax = std::numeric_limits<int32_t>::max();

// Read by tasks::parse_chat().
constexpr std::string_view kConversationFields[] = {
    "messages",
    "documents",
    "add_generation_prompt",
    "continue_final_message",
    "chat_template",
    "chat_template_kwargs",
};

// Values that wait until all fields are seen.
struct LateFields {
  ToolFields tools;
  tasks::ChatView view;
  std::optional<int64_t> max_tokens, max_completion_tokens;
  bool logprobs = false;
  std::optional<int64_t> top_logprobs;
  bool parallel_tool_calls = true;
};

Status read_modalities(const element& value) {
  array list;
  if (value.get_array().get(list)) return unwanted("modalities", "an array", value);
  for (const element item : list) {
    SIS_ASSIGN(const auto word, text_of(item, "modalities"));
    if (word != "text")
      return invalid(concat("modalities: only text can be answered, got ", in_quotes(word)),
                     "modalities");
  }
  return {};
}

Result<std::string> one_of(const element& value, std::string_view key,
                           std::initializer_list<const char*> words) {
  SIS_ASSIGN(auto word, text_of(value, key));
  for (const char* known : words)
    if (word == known) return word;
  return unwanted(key, concat("one of ", join_list(words)), value);
}

// The grammar holds the answer to its shape; that the model knows of it makes the content better.
std::string instruction_for(const GenerateFields& fields) {
  const tasks::ResponseFormat& format = fields.call.format;
  if (fields.format_field != "response_format") return {};
  if (format.kind == tasks::ResponseFormat::Kind::kJsonObject)
    return "Answer with one JSON object and nothing else.";
  return concat("Answer with JSON and nothing else. It ", format.strict ? "must follow" : "follows",
                " this JSON schema:\n", format.source);
}

// False: not a field of this route.
Result<bool> read_chat_field(std::string_view key, const element& value, const ModelFacts& model,
                             LateFields& late) {
  if (std::find(std::begin(kConversationFields), std::end(kConversationFields), key) !=
      std::end(kConversationFields))
    return true;
  if (key == "tools") {
    late.tools.tools = value;
  } else if (key == "tool_choice") {
    late.tools.tool_choice = value;
  } else if (key == "functions") {
    late.tools.functions = value;
  } else if (key == "function_call") {
    late.tools.function_call = value;
  } else if (key == "parallel_tool_calls") {
    SIS_ASSIGN(late.parallel_tool_calls, flag(value, key));
  } else if (key == "max_tokens") {
    SIS_ASSIGN(late.max_tokens, whole_number(value, key, 0, kTokensMax));
  } else if (key == "max_completion_tokens") {
    SIS_ASSIGN(late.max_completion_tokens, whole_number(value, key, 1, kTokensMax));
  } else if (key == "logprobs") {
    SIS_ASSIGN(late.logprobs, flag(value, key));
  } else if (key == "top_logprobs") {
    SIS_ASSIGN(late.top_logprobs, whole_number(value, key, 0, 20));
  } else if (key == "reasoning_effort") {
    SIS_ASSIGN(late.view.reasoning_effort,
               one_of(value, key, {"none", "minimal", "low", "medium", "high", "xhigh", "max"}));
  } else if (key == "verbosity") {
    SIS_ASSIGN(late.view.verbosity, one_of(value, key, {"low", "medium", "high"}));
  } else if (key == "modalities") {
    SIS_TRY(read_modalities(value));
  } else if (key == "audio") {
    return invalid(concat("audio: model ", in_quotes(model.name), " answers with text only"),
                   "audio");
  } else {
    return false;
  }
  return true;
}

}  // namespace

Result<BodyWithModel> parse_body_with_model(std::string_view body, const FindModel& find_model) {
  SIS_ASSIGN(const object fields, parse_body(body));
  return find_body_model(fields, find_model);
}

Result<BodyWithModel> find_body_model(const object& fields, const FindModel& find_model) {
  element model;
  std::string_view name;
  if (fields.at_key("model").get(model) || model.get_string().get(name) || name.empty())
    return invalid("model: want a non-empty string", "model");
  BodyWithModel read{.object = fields, .model = std::string(name), .found = {}};
  SIS_ASSIGN(read.found, find_model(read.model));
  if (read.found.text == nullptr)
    return invalid(
        concat("model ", in_quotes(name), " does not generate text (capability chat-completion)"),
        "model");
  return read;
}

Result<ChatCall> parse_chat_call(std::string_view body, bool strict_fields,
                                 const FindModel& find_model) {
  SIS_ASSIGN(auto head, parse_body_with_model(body, find_model));
  const ModelFacts& model = head.found.facts;
  ChatCall chat{.model = std::move(head.model), .fields = {}};
  LateFields late;
  for (const auto [key, value] : head.object) {
    if (value.is_null()) continue;
    SIS_ASSIGN(const bool shared, read_shared_field(key, value, model, chat.fields));
    if (shared) continue;
    SIS_ASSIGN(const bool own, read_chat_field(key, value, model, late));
    if (!own && strict_fields)
      return invalid(concat("unknown field ", in_quotes(key)), std::string(key));
  }

  tasks::GenerateCall& call = chat.fields.call;
  const auto tokens_max = late.max_completion_tokens ? late.max_completion_tokens : late.max_tokens;
  if (tokens_max.value_or(0) > 0) call.tokens_max = static_cast<int32_t>(*tokens_max);
  if (late.top_logprobs && !late.logprobs)
    return invalid("top_logprobs wants logprobs to be true", "top_logprobs");
  if (late.logprobs) call.logprobs = static_cast<int32_t>(late.top_logprobs.value_or(0));
  call.parallel_tool_calls = late.parallel_tool_calls;
  SIS_TRY(read_tools(late.tools, call, late.view.tools));
  SIS_TRY(check_shared_fields(model, chat.fields));
  SIS_TRY(check_logprob_count(1, "top_logprobs", call));
  late.view.instruction = instruction_for(chat.fields);
  // Reuses nothing of the parser above: what simdjson read is taken over by now.
  SIS_ASSIGN(call.chat, tasks::parse_chat(body, late.view, *head.found.text));
  return chat;
}

}  // namespace sis::api
