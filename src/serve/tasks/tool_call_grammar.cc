#include "serve/tasks/tool_call_grammar.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/strings.h"
#include "infer/text/grammar/regex_syntax.h"
#include "infer/text/grammar/schema.h"
#include "infer/text/grammar/string_rules.h"
#include "serve/tasks/parameter_schema.h"
#include "serve/tasks/python_literal.h"

namespace sis::tasks {
namespace {

using text::GrammarSource;
using text::grammar::is_note_format;
using text::grammar::is_note_keyword;

// Of one tool, where each parameter has a schema of its own.
constexpr size_t kParametersMax = 1000;
constexpr size_t kSchemasBytesMax = 4 << 20;  // with the definitions that they refer to
constexpr uint64_t kLengthMax = text::grammar::kRepeatMax;  // of a string

GrammarSource literal(std::string text) { return GrammarSource::literal(std::move(text)); }
GrammarSource sequence(std::vector<GrammarSource> parts) {
  return GrammarSource::sequence(std::move(parts));
}

// The place of a tool's schema in the request, for errors.
std::string path_of(const std::vector<Tool>& tools, const Tool& tool) {
  if (!tool.place.empty()) return tool.place + ".parameters";
  return concat("tools[", &tool - tools.data(), "].function.parameters");
}

GrammarSource arguments_object(const std::vector<Tool>& tools, const Tool& tool) {
  if (tool.parameters.empty()) return literal("{}");
  // A schema that says nothing about its type would take any value.
  const auto schema = nlohmann::json::parse(tool.parameters, nullptr, /*allow_exceptions=*/false);
  if (schema == nlohmann::json::object()) return literal("{}");
  if (schema.is_boolean()) return GrammarSource::json_object();
  std::string text = tool.parameters;
  if (schema.is_object() && !schema.contains("type")) {
    auto typed = nlohmann::ordered_json::parse(tool.parameters, nullptr, false);
    typed["type"] = "object";
    text = typed.dump();
  }
  return GrammarSource::json_schema(std::move(text),
                                    {.strict = tool.strict, .path = path_of(tools, tool)});
}

// {"name": "f", "arguments": {..}}
GrammarSource json_call(const std::vector<Tool>& tools, const Tool& tool, const char* arguments) {
  std::string name;
  append_json_string(name, tool.name);
  return sequence({literal(concat(R"({"name": )", name, ", \"", arguments, "\": ")),
                   arguments_object(tools, tool), literal("}")});
}

// What a tool's schema lists, for the forms that write each argument by itself.
struct Parameter {
  std::string name;
  std::string schema;
  std::string path;                  // in the request
  bool plain = false;                // is_plain_text()
  std::vector<std::string> choices;  // of a plain one, if it is a choice
  bool required = false;
};

constexpr const char* kNotHere = "not supported in this model's tool calls";

// Of the keyword or name that `path` ends with, which may be anything.
Error refused(std::string path, std::string_view message) {
  if (path.size() > 256) path = path.substr(0, 253) + "...";
  return {Code::kInvalidArgument, concat(path, ": ", message), path};
}

bool is_object_type(const nlohmann::ordered_json& type) {
  return type == "object" ||
         (type.is_array() && std::find(type.begin(), type.end(), "object") != type.end());
}

// That the arguments' schema, which stands at `path`, says nothing but which ones there are.
Status check_only_lists(const nlohmann::ordered_json& schema, const std::string& path) {
  for (const auto& [keyword, value] : schema.items()) {
    const std::string at = concat(path, ".", keyword);
    if (keyword == "type") {
      if (!is_object_type(value)) return refused(at, "want object");
    } else if (keyword == "properties") {
      if (!value.is_object()) return refused(at, "want an object");
    } else if (keyword == "required") {
      if (!value.is_array()) return refused(at, "want an array of names");
      for (const auto& name : value) {
        if (!name.is_string()) return refused(at, "want an array of names");
        const auto& text = name.get_ref<const std::string&>();
        if (!schema.contains("properties") || !schema["properties"].contains(text))
          return refused(at, concat(in_quotes(text), " is not declared, which is ", kNotHere));
      }
    } else if (keyword == "additionalProperties") {
      if (value != false) return refused(at, concat("other than false is ", kNotHere));
    } else if (!is_note_keyword(keyword)) {
      return refused(at, kNotHere);
    }
  }
  return {};
}

// `can_write`: whether the form has a way to write a parameter's name.
Result<std::vector<Parameter>> parameters_of(const std::vector<Tool>& tools, const Tool& tool,
                                             bool (*can_write)(std::string_view)) {
  std::vector<Parameter> parameters;
  const auto root =
      nlohmann::ordered_json::parse(tool.parameters, nullptr, /*allow_exceptions=*/false);
  std::string path = path_of(tools, tool);
  std::vector<const nlohmann::ordered_json*> way;
  const auto* found = parameters_schema(root, &way);
  if (found == nullptr) {
    const auto& reference = (*way.back())["$ref"];
    return refused(path + ".$ref",
                   concat(in_quotes(reference.is_string() ? reference.get_ref<const std::string&>()
                                                          : reference.dump()),
                          ": want a way to a definition in this schema"));
  }
  for (const auto* reference : way) {
    for (const auto& [keyword, value] : reference->items())
      if (tool.strict && keyword != "$ref" && !is_note_keyword(keyword) &&
          !(keyword == "type" && is_object_type(value)))
        return refused(concat(path, ".", keyword), concat("beside $ref is ", kNotHere));
    path = path_of(tools, tool);  // "#/$defs/A" is at ".$defs.A"
    for (const char c : (*reference)["$ref"].get_ref<const std::string&>().substr(1))
      path += c == '/' ? '.' : c;
  }
  const auto& schema = *found;
  if (!schema.is_object()) return parameters;
  if (tool.strict) SIS_TRY(check_only_lists(schema, path));
  if (!schema.contains("properties") || !schema["properties"].is_object()) return parameters;
  path += ".properties";
  const auto& properties = schema["properties"];
  if (properties.size() > kParametersMax)
    return refused(path, concat("want at most ", kParametersMax, ", got ", properties.size()));
  std::unordered_set<std::string_view> required;
  if (const auto listed = schema.find("required"); listed != schema.end() && listed->is_array())
    for (const auto& name : *listed)
      if (name.is_string()) required.insert(name.get_ref<const std::string&>());
  // References of a part lead to definitions of the whole.
  nlohmann::ordered_json definitions = nlohmann::ordered_json::object();
  for (const char* keyword : {"$defs", "definitions"})
    if (root.contains(keyword)) definitions[keyword] = root[keyword];
  size_t bytes = 0;
  for (const auto& [name, property] : properties.items()) {
    if (!can_write(name)) {
      if (tool.strict || required.contains(name))
        return refused(concat(path, ".", name), concat("a name that is ", kNotHere));
      continue;
    }
    std::string text = property.dump();
    if (property.is_object() && text.find("\"$ref\"") != std::string::npos) {
      nlohmann::ordered_json alone = property;
      alone.update(definitions);
      text = alone.dump();
    }
    bytes += text.size();
    if (bytes > kSchemasBytesMax)
      return refused(path,
                     concat("want at most ", kSchemasBytesMax,
                            " bytes of schemas, each with the definitions that it refers to"));
    parameters.push_back({name, std::move(text), concat(path, ".", name), is_plain_text(property),
                          string_choices(property), required.contains(name)});
  }
  return parameters;
}

GrammarSource parameter_value(const Tool& tool, const Parameter& parameter) {
  return GrammarSource::json_schema(parameter.schema,
                                    {.strict = tool.strict, .path = parameter.path});
}

// Any text that stands as it is, and the line of the closing tag. It is empty where that tag comes
// at once, without a line of its own: so may no other text begin.
GrammarSource text_until_closed(bool may_be_empty) {
  const std::string end(kXmlValueEnd);
  // Lines that are a beginning of the tag, as (\n|<(\n|/(\n|p..)))*, then one that leaves it, from
  // where on nothing is begun. Characters that take many bytes share their states.
  constexpr std::string_view kWide = "\\u{80}-\\u{10FFFF}";
  std::string line = "\\n", begun, left;
  for (size_t i = end.size() - 1; i > 0; --i) {
    const bool last = i + 1 == end.size();
    left = concat("([^\\n", end[i], kWide, "]", last ? "" : concat("|", end[i], left), ")");
    if (last) continue;
    line = concat("(\\n|", end[i], line, ")");
    begun = concat("(|", end[i], begun, ")");
  }
  GrammarSource text = sequence({GrammarSource::regex(concat(left, "|", begun, "[", kWide, "]")),
                                 GrammarSource::any_text_until(end), literal("\n")});
  if (may_be_empty) text = GrammarSource::choice({literal(end.substr(1) + "\n"), std::move(text)});
  return sequence({GrammarSource::regex(line + "*"), std::move(text)});
}

bool can_hold(const text::grammar::Regex& regex, char32_t c) {
  return regex.chars.contains(c) ||
         std::any_of(regex.parts.begin(), regex.parts.end(),
                     [c](const auto& part) { return can_hold(part, c); });
}

// A text that stands as it is, of the pattern or format that the keyword at `path` names. It must
// not be taken for the closing tag.
Result<GrammarSource> matching_text(std::string pattern, bool is_format, const std::string& path) {
  if (is_format) {
    const auto known = text::grammar::format_pattern(pattern);
    if (!known) return refused(path, concat(in_quotes(pattern), " is ", kNotHere));
    pattern = *known;
  }
  using Use = text::grammar::RegexUse;
  const auto regex = text::grammar::parse_regex(pattern, is_format ? Use::kWhole : Use::kSearch);
  if (!regex) return refused(path, regex.error().message);
  if (can_hold(*regex, '\n') || can_hold(*regex, '<'))
    return refused(path, concat("one that ^ and $ do not hold, or that takes line breaks or <, is ",
                                kNotHere));
  return GrammarSource::regex(std::move(pattern));  // a whole match, which ^ and $ make it anyway
}

// A text of so many characters that stands as it is. What may be taken for the closing tag is left
// out, in the way that counting allows: there is no < in it, or no line break.
GrammarSource counted_text(uint32_t min, std::optional<uint32_t> max) {
  std::vector<GrammarSource> either = {
      GrammarSource::repeat(GrammarSource::regex("[^<]"), min, max)};
  if (max != 0) {
    const uint32_t rest_min = min > 0 ? min - 1 : 0;
    const auto rest_max = max ? std::optional(*max - 1) : std::nullopt;
    either.push_back(
        sequence({GrammarSource::regex("[^<\\n]"),
                  GrammarSource::repeat(GrammarSource::regex("[^\\n]"), rest_min, rest_max)}));
  }
  return GrammarSource::choice(std::move(either));
}

// The texts of a strict schema, each with the line of the closing tag: what its keywords say is
// followed or refused.
Result<GrammarSource> strict_text_until_closed(const Parameter& parameter) {
  const auto schema = nlohmann::json::parse(parameter.schema, nullptr, /*allow_exceptions=*/false);
  const auto path = [&](std::string_view keyword) { return concat(parameter.path, ".", keyword); };
  uint64_t min = 0, max = kLengthMax + 1;  // that one stands for any
  std::string pattern, counted;            // the keywords that are there
  for (const auto& [keyword, value] : schema.items()) {
    if (keyword == "type" || keyword == "nullable" || is_note_keyword(keyword)) continue;
    if (keyword == "minLength" || keyword == "maxLength") {
      if (!value.is_number_unsigned()) return refused(path(keyword), "want a whole number from 0");
      (keyword == "minLength" ? min : max) = value.get<uint64_t>();
      if (keyword == "maxLength" || min > 0) counted = keyword;
    } else if ((keyword == "pattern" || keyword == "format") && value.is_string()) {
      if (keyword == "format" && is_note_format(value.get_ref<const std::string&>())) continue;
      if (!pattern.empty())
        return refused(path(keyword), concat("beside ", pattern, " is ", kNotHere));
      pattern = keyword;
    } else {
      return refused(path(keyword), kNotHere);
    }
  }
  if (!pattern.empty() && !counted.empty())
    return refused(path(counted), concat("beside ", pattern, " is ", kNotHere));
  const GrammarSource closed = literal(concat(kXmlValueEnd, "\n"));
  if (!pattern.empty()) {
    SIS_ASSIGN(GrammarSource text, matching_text(schema[pattern].get<std::string>(),
                                                 pattern == "format", path(pattern)));
    return sequence({std::move(text), closed});
  }
  if (min > std::min(max, kLengthMax))
    return refused(path("minLength"), concat("want at most ", std::min(max, kLengthMax)));
  // Counting leaves texts out.
  if (min <= 1 && max > kLengthMax) return text_until_closed(/*may_be_empty=*/min == 0);
  return sequence(
      {counted_text(static_cast<uint32_t>(min),
                    max > kLengthMax ? std::nullopt : std::optional(static_cast<uint32_t>(max))),
       closed});
}

// One of some texts.
Result<GrammarSource> choice_until_closed(const Tool& tool, const Parameter& parameter) {
  const auto schema = nlohmann::json::parse(parameter.schema, nullptr, /*allow_exceptions=*/false);
  if (tool.strict)
    for (const auto& [keyword, value] : schema.items())
      if (keyword != "enum" && keyword != "type" && keyword != "nullable" &&
          !is_note_keyword(keyword))
        return refused(concat(parameter.path, ".", keyword), concat("beside enum is ", kNotHere));
  std::vector<GrammarSource> texts;
  for (const auto& choice : parameter.choices) texts.push_back(literal(choice));
  return sequence({GrammarSource::choice(std::move(texts)), literal(concat(kXmlValueEnd, "\n"))});
}

bool can_tag(std::string_view name) {
  return !name.empty() && name.find('>') == std::string_view::npos;
}

// <function=f> with its parameters in the schema's order.
Result<GrammarSource> xml_call(const std::vector<Tool>& tools, const Tool& tool) {
  std::vector<GrammarSource> parts = {literal(concat("<tool_call>\n<function=", tool.name, ">\n"))};
  SIS_ASSIGN(const auto parameters, parameters_of(tools, tool, can_tag));
  for (const auto& parameter : parameters) {
    std::vector<GrammarSource> value = {literal(concat("<parameter=", parameter.name, ">\n"))};
    if (!parameter.choices.empty()) {
      SIS_ASSIGN(GrammarSource text, choice_until_closed(tool, parameter));
      value.push_back(std::move(text));
    } else if (parameter.plain && tool.strict) {
      SIS_ASSIGN(GrammarSource text, strict_text_until_closed(parameter));
      value.push_back(std::move(text));
    } else if (parameter.plain) {
      value.push_back(text_until_closed(/*may_be_empty=*/true));
    } else {
      value.push_back(parameter_value(tool, parameter));
      value.push_back(literal(concat(kXmlValueEnd, "\n")));
    }
    parts.push_back(
        GrammarSource::repeat(sequence(std::move(value)), parameter.required ? 1 : 0, 1));
  }
  parts.push_back(literal("</function>\n</tool_call>"));
  return sequence(std::move(parts));
}

// f(x=1, y="a"): required parameters first, then optional ones, each in the schema's order. Values
// are written as in JSON, which is Python but for three words that the parser takes.
Result<GrammarSource> python_call(const std::vector<Tool>& tools, const Tool& tool) {
  std::vector<GrammarSource> parts = {literal(tool.name + "(")};
  SIS_ASSIGN(const auto parameters, parameters_of(tools, tool, is_python_argument_name));
  for (const auto& parameter : parameters) {
    if (!parameter.required) continue;
    parts.push_back(literal(concat(parts.size() > 1 ? ", " : "", parameter.name, "=")));
    parts.push_back(parameter_value(tool, parameter));
  }
  const bool any_required = parts.size() > 1;
  // Without required ones the first that is there has no comma: one branch for each. What follows
  // is shared by the branches in blocks, each inside the one before: few copies, little depth.
  constexpr size_t kBlock = 32;
  std::vector<GrammarSource> branches, following;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    if (parameter->required) continue;
    const GrammarSource value = parameter_value(tool, *parameter);
    std::vector<GrammarSource> branch = {literal(parameter->name + "="), value};
    branch.insert(branch.end(), following.begin(), following.end());
    branches.push_back(sequence(std::move(branch)));
    if (following.size() == kBlock) following = {sequence(std::move(following))};
    following.insert(following.begin(),
                     GrammarSource::repeat(
                         sequence({literal(concat(", ", parameter->name, "=")), value}), 0, 1));
  }
  if (any_required)
    parts.insert(parts.end(), following.begin(), following.end());
  else if (!branches.empty())
    parts.push_back(GrammarSource::repeat(GrammarSource::choice(std::move(branches)), 0, 1));
  parts.push_back(literal(")"));
  return sequence(std::move(parts));
}

struct Frame {
  const char *before = "", *between = "", *after = "";
  bool many = true;
};

Frame frame_of(ToolFormat format) {
  switch (format) {
    case ToolFormat::kHermes:
      return {"<tool_call>\n", "\n</tool_call>\n<tool_call>\n", "\n</tool_call>"};
    case ToolFormat::kXml:
      return {"", "\n", ""};
    case ToolFormat::kMistral:
      return {"[TOOL_CALLS][", ", ", "]"};
    case ToolFormat::kMistralArgs:
      return {};
    case ToolFormat::kPhi:
      return {"<|tool_call|>[", ", ", "]<|/tool_call|>"};
    case ToolFormat::kLlama:
      return {.many = false};  // its templates know one call at a time
    case ToolFormat::kPython:
      return {"[", ", ", "]"};
    case ToolFormat::kToolCode:
      return {"```tool_code\n", "\n", "\n```"};
  }
  return {};
}

Result<GrammarSource> one_call(ToolFormat format, const std::vector<Tool>& tools,
                               const Tool& tool) {
  switch (format) {
    case ToolFormat::kHermes:
    case ToolFormat::kMistral:
    case ToolFormat::kPhi:
      return json_call(tools, tool, "arguments");
    case ToolFormat::kLlama:
      return json_call(tools, tool, "parameters");
    case ToolFormat::kMistralArgs:
      return sequence(
          {literal(concat("[TOOL_CALLS]", tool.name, "[ARGS]")), arguments_object(tools, tool)});
    case ToolFormat::kXml:
      return xml_call(tools, tool);
    case ToolFormat::kPython:
    case ToolFormat::kToolCode:
      return python_call(tools, tool);
  }
  return literal("");
}

}  // namespace

std::string_view opening_of_calls(ToolFormat format) {
  if (format == ToolFormat::kLlama || format == ToolFormat::kPython) return "";
  return format == ToolFormat::kToolCode ? kToolCodeOpening : tool_markers(format).front();
}

Result<GrammarSource> tool_call_grammar(ToolFormat format, const std::vector<Tool>& tools,
                                        bool parallel) {
  std::vector<GrammarSource> calls;
  for (const auto& tool : tools) {
    SIS_ASSIGN(GrammarSource one, one_call(format, tools, tool));
    calls.push_back(std::move(one));
  }
  const GrammarSource call =
      calls.size() == 1 ? calls.front() : GrammarSource::choice(std::move(calls));
  const Frame frame = frame_of(format);
  std::vector<GrammarSource> parts = {literal(frame.before), call};
  if (parallel && frame.many)
    parts.push_back(GrammarSource::repeat(sequence({literal(frame.between), call}), 0));
  parts.push_back(literal(frame.after));
  return sequence(std::move(parts));
}

}  // namespace sis::tasks
