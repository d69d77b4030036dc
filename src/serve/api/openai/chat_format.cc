#include "serve/api/openai/chat_format.h"

#include <algorithm>
#include <string>

#include "base/strings.h"
#include "serve/api/json_body.h"
#include "serve/api/openai/chat_fields.h"

namespace sis::api {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;
using tasks::GenerateCall;
using tasks::ResponseFormat;
using tasks::Tool;
using tasks::ToolChoice;
using Kind = tasks::ResponseFormat::Kind;

constexpr size_t kToolsMax = 128;

// The member, unless it is absent or null.
std::optional<element> member(const object& from, std::string_view key) {
  element value;
  if (from.at_key(key).get(value) || value.is_null()) return std::nullopt;
  return value;
}

Result<object> object_member(const object& from, std::string_view key, std::string_view place) {
  const std::string param = concat(place, ".", key);
  const auto value = member(from, key);
  if (!value) return invalid(concat(param, " is missing"), param);
  object read;
  if (value->get_object().get(read)) return unwanted(param, "an object", *value);
  return read;
}

Result<std::string> text_member(const object& from, std::string_view key, std::string_view place) {
  const std::string param = concat(place, ".", key);
  const auto value = member(from, key);
  if (!value) return invalid(concat(param, " is missing"), param);
  return text_of(*value, param);
}

Result<std::string> name_member(const object& from, std::string_view place) {
  SIS_ASSIGN(auto name, text_member(from, "name", place));
  const bool fits =
      !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
      });
  const std::string param = concat(place, ".name");
  if (!fits)
    return invalid(
        concat(param, ": want 1 to 64 letters, digits, '_' and '-', got ", in_quotes(name)), param);
  return name;
}

Result<bool> strict_member(const object& from, std::string_view place, bool otherwise) {
  const auto value = member(from, "strict");
  if (!value) return otherwise;
  return flag(*value, concat(place, ".strict"));
}

Result<ResponseFormat> read_response_format(const element& value) {
  constexpr std::string_view kParam = "response_format";
  object format;
  if (value.get_object().get(format)) return unwanted(kParam, "an object", value);
  SIS_ASSIGN(const auto type, text_member(format, "type", kParam));
  const auto nested = member(format, "json_schema");
  if (type != "text" && type != "json_object" && type != "json_schema")
    return invalid(concat("response_format.type: want text, json_object or json_schema, got ",
                          in_quotes(type)),
                   "response_format.type");
  if (nested && type != "json_schema")
    return invalid(
        concat("response_format.json_schema wants the type json_schema, got ", in_quotes(type)),
        "response_format.json_schema");
  ResponseFormat read;
  if (type == "text") return read;
  SIS_ASSIGN(read.strict, strict_member(format, kParam, false));
  if (type == "json_object") {
    read.kind = Kind::kJsonObject;
    if (!member(format, "schema")) return read;  // llama.cpp's form has one
    SIS_ASSIGN(const object schema, object_member(format, "schema", kParam));
    read.kind = Kind::kJsonSchema;
    read.field = "response_format.schema";
    read.source = simdjson::minify(schema);
    return read;
  }
  constexpr std::string_view kPlace = "response_format.json_schema";
  SIS_ASSIGN(const object json_schema, object_member(format, "json_schema", kParam));
  if (member(json_schema, "name")) SIS_TRY(name_member(json_schema, kPlace));
  SIS_ASSIGN(read.strict, strict_member(json_schema, kPlace, read.strict));
  SIS_ASSIGN(const object schema, object_member(json_schema, "schema", kPlace));
  read.kind = Kind::kJsonSchema;
  read.field = concat(kPlace, ".schema");
  read.source = simdjson::minify(schema);
  return read;
}

// A schema as an object, or as the text of one.
Result<std::string> read_guided_json(const element& value) {
  if (value.is_object()) return std::string(simdjson::minify(value));
  if (!value.is_string()) return unwanted("guided_json", "a JSON schema", value);
  return std::string(value.get_string().value_unsafe());
}

// Arguments are an object, so a schema of anything else fits no call.
Status check_parameters_type(const object& parameters, const std::string& place) {
  const auto type = member(parameters, "type");
  if (!type) return {};
  const auto is_object = [](const element& word) {
    return word.is_string() && word.get_string().value_unsafe() == "object";
  };
  if (is_object(*type)) return {};
  array either;
  if (!type->get_array().get(either) && std::any_of(either.begin(), either.end(), is_object))
    return {};
  return unwanted(place + ".type", "'object', as arguments are one", *type);
}

Status read_tool_list(const array& list, std::string_view key, bool wrapped, GenerateCall& call) {
  if (list.size() > kToolsMax)
    return invalid(
        concat(key, " has ", list.size(), " entries, at most ", kToolsMax, " are allowed"),
        std::string(key));
  size_t at = 0;
  for (const element item : list) {
    std::string place = concat(key, "[", at++, "]");
    object function;
    if (item.get_object().get(function)) return unwanted(place, "an object", item);
    if (wrapped) {
      SIS_ASSIGN(const auto type, text_member(function, "type", place));
      if (type != "function")
        return invalid(concat(place, ".type: want 'function', got ", in_quotes(type)),
                       concat(place, ".type"));
      SIS_ASSIGN(function, object_member(function, "function", place));
      place += ".function";
    }
    Tool tool;
    SIS_ASSIGN(tool.name, name_member(function, place));
    for (const Tool& other : call.tools)
      if (other.name == tool.name)
        return invalid(concat(place, ".name: ", in_quotes(tool.name), " is there twice"),
                       concat(place, ".name"));
    if (const auto text = member(function, "description"))
      SIS_TRY(text_of(*text, concat(place, ".description")));
    if (member(function, "parameters")) {
      SIS_ASSIGN(const object parameters, object_member(function, "parameters", place));
      SIS_TRY(check_parameters_type(parameters, place + ".parameters"));
      if (parameters.size() > 0) tool.parameters = simdjson::minify(parameters);
    }
    SIS_ASSIGN(tool.strict, strict_member(function, place, false));
    tool.place = std::move(place);  // a choice may leave fewer tools
    call.tools.push_back(std::move(tool));
  }
  return {};
}

// Leaves only these tools to call.
Status keep_tools(const std::vector<std::string>& names, std::string_view param,
                  GenerateCall& call) {
  std::vector<Tool> kept;
  for (const std::string& name : names) {
    const auto at = std::find_if(call.tools.begin(), call.tools.end(),
                                 [&](const Tool& tool) { return tool.name == name; });
    if (at == call.tools.end())
      return invalid(concat(param, ": ", in_quotes(name), " is not among the tools"),
                     std::string(param));
    const bool twice =
        std::any_of(kept.begin(), kept.end(), [&](const Tool& tool) { return tool.name == name; });
    if (!twice) kept.push_back(*at);
  }
  call.tools = std::move(kept);
  return {};
}

Result<ToolChoice> read_mode(std::string_view word, std::string_view param) {
  if (word == "none") return ToolChoice::kNone;
  if (word == "auto") return ToolChoice::kAuto;
  if (word == "required") return ToolChoice::kRequired;
  return invalid(concat(param, ": want none, auto, required or an object, got ", in_quotes(word)),
                 std::string(param));
}

Status choose_named(std::string name, std::string_view param, GenerateCall& call) {
  SIS_TRY(keep_tools({std::move(name)}, param, call));
  call.tool_choice = ToolChoice::kRequired;
  call.parallel_tool_calls = false;  // the named one, once
  return {};
}

Status read_allowed_tools(const object& choice, GenerateCall& call, ShownTools& shown) {
  constexpr std::string_view kPlace = "tool_choice.allowed_tools";
  SIS_ASSIGN(const object allowed, object_member(choice, "allowed_tools", "tool_choice"));
  SIS_ASSIGN(const auto mode, text_member(allowed, "mode", kPlace));
  if (mode != "auto" && mode != "required")
    return invalid(concat(kPlace, ".mode: want auto or required, got ", in_quotes(mode)),
                   concat(kPlace, ".mode"));
  const std::string param = concat(kPlace, ".tools");
  const auto list = member(allowed, "tools");
  array tools;
  if (!list || list->get_array().get(tools))
    return list ? unwanted(param, "an array", *list) : invalid(concat(param, " is missing"), param);
  std::vector<std::string> names;
  for (const element item : tools) {
    const std::string place = concat(param, "[", names.size(), "]");
    object tool;
    if (item.get_object().get(tool)) return unwanted(place, "an object", item);
    SIS_ASSIGN(const object function, object_member(tool, "function", place));
    SIS_ASSIGN(auto name, text_member(function, "name", place + ".function"));
    names.push_back(std::move(name));
  }
  if (names.empty()) return invalid(concat(param, " is an empty array"), param);
  SIS_TRY(keep_tools(names, param, call));
  shown = std::move(names);
  call.tool_choice = mode == "auto" ? ToolChoice::kAuto : ToolChoice::kRequired;
  return {};
}

Status read_tool_choice(const element& value, GenerateCall& call, ShownTools& shown) {
  if (value.is_string()) {
    SIS_ASSIGN(call.tool_choice, read_mode(value.get_string().value_unsafe(), "tool_choice"));
    return {};
  }
  object choice;
  if (value.get_object().get(choice))
    return unwanted("tool_choice", "none, auto, required or an object", value);
  SIS_ASSIGN(const auto type, text_member(choice, "type", "tool_choice"));
  if (type == "allowed_tools") return read_allowed_tools(choice, call, shown);
  if (type != "function")
    return invalid(
        concat("tool_choice.type: want function or allowed_tools, got ", in_quotes(type)),
        "tool_choice.type");
  SIS_ASSIGN(const object function, object_member(choice, "function", "tool_choice"));
  SIS_ASSIGN(auto name, text_member(function, "name", "tool_choice.function"));
  return choose_named(std::move(name), "tool_choice.function.name", call);
}

Status read_function_call(const element& value, GenerateCall& call) {
  if (value.is_string()) {
    const std::string_view word = value.get_string().value_unsafe();
    if (word != "none" && word != "auto")
      return unwanted("function_call", "none, auto or an object", value);
    SIS_ASSIGN(call.tool_choice, read_mode(word, "function_call"));
    return {};
  }
  object choice;
  if (value.get_object().get(choice))
    return unwanted("function_call", "none, auto or an object", value);
  SIS_ASSIGN(auto name, text_member(choice, "name", "function_call"));
  return choose_named(std::move(name), "function_call.name", call);
}

}  // namespace

Result<bool> read_format_field(std::string_view key, const element& value, GenerateFields& fields) {
  ResponseFormat format;
  if (key == "response_format") {
    SIS_ASSIGN(format, read_response_format(value));
  } else if (key == "guided_json") {
    SIS_ASSIGN(format.source, read_guided_json(value));
    format.kind = Kind::kJsonSchema;
  } else if (key == "guided_regex") {
    SIS_ASSIGN(format.source, text_of(value, key));
    format.kind = Kind::kRegex;
  } else if (key == "grammar" || key == "guided_grammar") {
    SIS_ASSIGN(format.source, text_of(value, key));
    format.kind = Kind::kEbnf;
  } else {
    return false;
  }
  if (format.kind == Kind::kText) return true;
  if (format.field.empty()) format.field = key;
  if (!fields.format_field.empty() && fields.format_field != key)
    return invalid(concat(key, ": ", fields.format_field, " already says what the answer must be"),
                   std::string(key));
  fields.format_field = key;
  fields.call.format = std::move(format);
  return true;
}

Status read_tools(const ToolFields& fields, GenerateCall& call, ShownTools& shown) {
  const auto read_list = [&](const std::optional<element>& value, std::string_view key,
                             bool wrapped) -> Status {
    if (!value) return {};
    array list;
    if (value->get_array().get(list)) return unwanted(key, "an array", *value);
    return read_tool_list(list, key, wrapped, call);
  };
  call.tools.clear();
  SIS_TRY(read_list(fields.tools, "tools", true));
  SIS_TRY(read_list(fields.functions, "functions", false));
  call.tool_choice = call.tools.empty() ? ToolChoice::kNone : ToolChoice::kAuto;
  const bool any = !call.tools.empty();
  const bool by_function = !fields.tool_choice && fields.function_call;
  if (fields.tool_choice) SIS_TRY(read_tool_choice(*fields.tool_choice, call, shown));
  if (by_function) SIS_TRY(read_function_call(*fields.function_call, call));
  if (!any) {
    if (call.tool_choice == ToolChoice::kRequired) {
      const char* key = by_function ? "function_call" : "tool_choice";
      return invalid(concat(key, " wants a call, but there are no tools"), key);
    }
    call.tool_choice = ToolChoice::kNone;
  }
  // A model that sees tools will call them, and then its markup would stand in the answer.
  if (call.tool_choice == ToolChoice::kNone) {
    call.tools.clear();
    shown.emplace();
  }
  return {};
}

}  // namespace sis::api
