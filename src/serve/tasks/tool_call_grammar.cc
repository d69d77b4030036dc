#include "serve/tasks/tool_call_grammar.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/strings.h"
#include "serve/tasks/parameter_schema.h"
#include "serve/tasks/python_literal.h"

namespace sis::tasks {
namespace {

using text::GrammarSource;
using text::JsonSchemaOptions;

// Of one tool, where each parameter has a schema of its own.
constexpr size_t kParametersMax = 1000;
constexpr size_t kSchemasBytesMax = 4 << 20;  // with the definitions that they refer to

GrammarSource literal(std::string text) { return GrammarSource::literal(std::move(text)); }
GrammarSource sequence(std::vector<GrammarSource> parts) {
  return GrammarSource::sequence(std::move(parts));
}

// The place of a tool's schema in the request, for errors.
std::string path_of(const std::vector<Tool>& tools, const Tool& tool) {
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
  bool plain = false;                // is_plain_text()
  std::vector<std::string> choices;  // of a plain one, if it is a choice
  bool required = false;
};

Result<std::vector<Parameter>> parameters_of(const std::vector<Tool>& tools, const Tool& tool) {
  std::vector<Parameter> parameters;
  const auto schema =
      nlohmann::ordered_json::parse(tool.parameters, nullptr, /*allow_exceptions=*/false);
  if (!schema.is_object() || !schema.contains("properties") || !schema["properties"].is_object())
    return parameters;
  const auto refused = [&](std::string message) {
    const std::string path = concat(path_of(tools, tool), ".properties");
    return Error{Code::kInvalidArgument, concat(path, ": ", message), path};
  };
  const auto& properties = schema["properties"];
  if (properties.size() > kParametersMax)
    return refused(concat("want at most ", kParametersMax, ", got ", properties.size()));
  std::unordered_set<std::string_view> required;
  if (const auto listed = schema.find("required"); listed != schema.end() && listed->is_array())
    for (const auto& name : *listed)
      if (name.is_string()) required.insert(name.get_ref<const std::string&>());
  // References of a part lead to definitions of the whole.
  nlohmann::ordered_json definitions = nlohmann::ordered_json::object();
  for (const char* keyword : {"$defs", "definitions"})
    if (schema.contains(keyword)) definitions[keyword] = schema[keyword];
  size_t bytes = 0;
  for (const auto& [name, property] : properties.items()) {
    std::string text = property.dump();
    if (property.is_object() && text.find("\"$ref\"") != std::string::npos) {
      nlohmann::ordered_json alone = property;
      alone.update(definitions);
      text = alone.dump();
    }
    bytes += text.size();
    if (bytes > kSchemasBytesMax)
      return refused(concat("want at most ", kSchemasBytesMax,
                            " bytes of schemas, each with the definitions that it refers to"));
    parameters.push_back({name, std::move(text), is_plain_text(property), string_choices(property),
                          required.contains(name)});
  }
  return parameters;
}

GrammarSource parameter_value(const std::vector<Tool>& tools, const Tool& tool,
                              const Parameter& parameter) {
  const JsonSchemaOptions options{
      .strict = tool.strict, .path = concat(path_of(tools, tool), ".properties.", parameter.name)};
  return GrammarSource::json_schema(parameter.schema, options);
}

// Any text that stands as it is, and the line of the closing tag. It is empty where that tag comes
// at once, without a line of its own: so may no other text begin.
GrammarSource text_until_closed() {
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
  text = GrammarSource::choice({literal(end.substr(1) + "\n"), std::move(text)});
  return sequence({GrammarSource::regex(line + "*"), std::move(text)});
}

// <function=f> with its parameters in the schema's order.
Result<GrammarSource> xml_call(const std::vector<Tool>& tools, const Tool& tool) {
  std::vector<GrammarSource> parts = {literal(concat("<tool_call>\n<function=", tool.name, ">\n"))};
  SIS_ASSIGN(const auto parameters, parameters_of(tools, tool));
  for (const auto& parameter : parameters) {
    std::vector<GrammarSource> value = {literal(concat("<parameter=", parameter.name, ">\n"))};
    if (!parameter.choices.empty()) {
      std::vector<GrammarSource> texts;
      for (const auto& choice : parameter.choices) texts.push_back(literal(choice));
      value.push_back(GrammarSource::choice(std::move(texts)));
      value.push_back(literal(concat(kXmlValueEnd, "\n")));
    } else if (parameter.plain) {
      value.push_back(text_until_closed());
    } else {
      value.push_back(parameter_value(tools, tool, parameter));
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
  SIS_ASSIGN(const auto parameters, parameters_of(tools, tool));
  for (const auto& parameter : parameters) {
    if (!parameter.required) continue;
    parts.push_back(literal(concat(parts.size() > 1 ? ", " : "", parameter.name, "=")));
    parts.push_back(parameter_value(tools, tool, parameter));
  }
  const bool any_required = parts.size() > 1;
  // Without required ones the first that is there has no comma: one branch for each. What follows
  // is shared by the branches in blocks, each inside the one before: few copies, little depth.
  constexpr size_t kBlock = 32;
  std::vector<GrammarSource> branches, following;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    if (parameter->required) continue;
    const GrammarSource value = parameter_value(tools, tool, *parameter);
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
