#include "infer/text/grammar/source.h"

#include "infer/text/grammar/source_node.h"

namespace sis::text {
namespace {
using Node = GrammarSource::Node;
using Kind = Node::Kind;
}  // namespace

GrammarSource GrammarSource::literal(std::string text) {
  return GrammarSource(
      std::make_shared<Node>(Node{.kind = Kind::kLiteral, .text = std::move(text)}));
}
GrammarSource GrammarSource::regex(std::string pattern) {
  return GrammarSource(
      std::make_shared<Node>(Node{.kind = Kind::kRegex, .text = std::move(pattern)}));
}
GrammarSource GrammarSource::ebnf(std::string rules) {
  return GrammarSource(std::make_shared<Node>(Node{.kind = Kind::kEbnf, .text = std::move(rules)}));
}
GrammarSource GrammarSource::json_schema(std::string schema, JsonSchemaOptions options) {
  return GrammarSource(std::make_shared<Node>(
      Node{.kind = Kind::kJsonSchema, .text = std::move(schema), .json = std::move(options)}));
}
GrammarSource GrammarSource::json_object(bool line_breaks) {
  return GrammarSource(std::make_shared<Node>(
      Node{.kind = Kind::kJsonObject, .json = {.line_breaks = line_breaks}}));
}
GrammarSource GrammarSource::any_text() {
  return GrammarSource(std::make_shared<Node>(Node{.kind = Kind::kAnyText}));
}
GrammarSource GrammarSource::any_text_until(std::string literal) {
  return GrammarSource(
      std::make_shared<Node>(Node{.kind = Kind::kAnyTextUntil, .text = std::move(literal)}));
}
GrammarSource GrammarSource::any_text_without(std::string literal) {
  return GrammarSource(
      std::make_shared<Node>(Node{.kind = Kind::kAnyTextWithout, .text = std::move(literal)}));
}
GrammarSource GrammarSource::sequence(std::vector<GrammarSource> parts) {
  return GrammarSource(
      std::make_shared<Node>(Node{.kind = Kind::kSequence, .parts = std::move(parts)}));
}
GrammarSource GrammarSource::choice(std::vector<GrammarSource> parts) {
  return GrammarSource(
      std::make_shared<Node>(Node{.kind = Kind::kChoice, .parts = std::move(parts)}));
}
GrammarSource GrammarSource::repeat(GrammarSource part, uint32_t min, std::optional<uint32_t> max) {
  return GrammarSource(std::make_shared<Node>(
      Node{.kind = Kind::kRepeat, .parts = {std::move(part)}, .min = min, .max = max}));
}

}  // namespace sis::text
