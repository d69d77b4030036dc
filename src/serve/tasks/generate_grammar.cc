#include "serve/tasks/generate_grammar.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "serve/tasks/python_literal.h"
#include "serve/tasks/tool_call_grammar.h"

namespace sis::tasks {
namespace {

using text::GrammarSource;
using Kind = ResponseFormat::Kind;

// An unambiguous part of a key.
void add_part(std::string& key, std::string_view part) {
  key += concat(part.size(), ':');
  key += part;
}

GrammarSource format_source(const ResponseFormat& format) {
  switch (format.kind) {
    case Kind::kJsonSchema:
      return GrammarSource::json_schema(
          format.source,
          {.strict = format.strict,
           .line_breaks = true,
           .path = format.field.empty() ? "response_format.json_schema.schema" : format.field});
    case Kind::kRegex:
      return GrammarSource::regex(format.source);
    case Kind::kEbnf:
      return GrammarSource::ebnf(format.source);
    case Kind::kJsonObject:
      return GrammarSource::json_object(/*line_breaks=*/true);
    case Kind::kText:
      break;
  }
  return GrammarSource::any_text();
}

GrammarSource after_thinking(GrammarSource answer, ReasoningSplit::Start reasoning) {
  if (reasoning == ReasoningSplit::Start::kOff) return answer;
  std::vector<GrammarSource> thought = {GrammarSource::any_text_until(std::string(kThinkClose)),
                                        GrammarSource::repeat(GrammarSource::literal("\n"), 0, 2),
                                        answer};
  if (reasoning == ReasoningSplit::Start::kThinking)
    return GrammarSource::sequence(std::move(thought));
  thought.insert(thought.begin(), GrammarSource::literal(std::string(kThinkOpen)));
  return GrammarSource::choice({GrammarSource::sequence(std::move(thought)), std::move(answer)});
}

// What choose_grammar() has settled.
struct Parts {
  bool has_format = false, callable = false;
  bool free = false;  // any text may come before the calls, or alone
};

Result<GrammarSource> make_source(const GenerateCall& call, ToolFormat format,
                                  ReasoningSplit::Start reasoning, Parts parts) {
  std::vector<GrammarSource> either;
  if (parts.has_format) either.push_back(format_source(call.format));
  if (parts.callable) {
    SIS_ASSIGN(GrammarSource calls,
               tool_call_grammar(format, call.tools, call.parallel_tool_calls));
    if (parts.free)
      calls = GrammarSource::sequence(
          {GrammarSource::any_text_without(std::string(opening_of_calls(format))),
           GrammarSource::repeat(std::move(calls), 0, 1)});
    either.push_back(std::move(calls));
  }
  GrammarSource answer =
      either.size() == 1 ? either.front() : GrammarSource::choice(std::move(either));
  return after_thinking(std::move(answer), reasoning);
}

}  // namespace

std::optional<GrammarWish> choose_grammar(const GenerateCall& call, ToolFormat format,
                                          ReasoningSplit::Start reasoning) {
  const bool required = call.tool_choice == ToolChoice::kRequired;
  Parts parts{.has_format = call.format.kind != Kind::kText && !required,  // calls leave no room
              .callable = !call.tools.empty() && call.tool_choice != ToolChoice::kNone};
  // A model that may call or not is held to the schemas that are to be kept once it begins a call,
  // where text tells that it does.
  parts.free = parts.callable && !parts.has_format && !required &&
               !opening_of_calls(format).empty() &&
               std::ranges::any_of(call.tools, [](const Tool& tool) { return tool.strict; });
  if (!parts.has_format && !required && !parts.free) return std::nullopt;

  std::string key = concat(static_cast<int>(reasoning), ' ', required, ' ', parts.free, ' ');
  if (parts.has_format) {
    key += concat(static_cast<int>(call.format.kind), ' ', call.format.strict, ' ');
    add_part(key, call.format.field);
    add_part(key, call.format.source);
  }
  if (parts.callable) {
    key += concat(static_cast<int>(format), ' ', call.parallel_tool_calls, ' ');
    for (const auto& tool : call.tools) {
      add_part(key, tool.name);
      add_part(key, tool.parameters);
      key += tool.strict ? '1' : '0';
    }
  }
  // What is cached needs no source.
  return GrammarWish{std::move(key), [&call, format, reasoning, parts] {
                       return make_source(call, format, reasoning, parts);
                     }};
}

}  // namespace sis::tasks
