// What a grammar says, before it is compiled: a small tree that callers put together.
//
//   auto call = GrammarSource::sequence({GrammarSource::literal("<tool_call>\n{\"name\": \"f\",
//   \"arguments\": "),
//                                        GrammarSource::json_schema(schema),
//                                        GrammarSource::literal("}\n</tool_call>")});
//
// Values: cheap to copy, never changed; any thread. Nothing is checked before compile().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sis::text {

struct JsonSchemaOptions {
  // What is not supported is refused even where leaving it out would only allow more texts
  // (docs/structured-output.md). References that lead nowhere and the like are refused always.
  bool strict = false;
  // Between values: false allows one optional space after : and , and nothing else, as in
  // {"a": 1, "b": [1, 2]}; true also a line break with up to 32 spaces where pretty printers put
  // one.
  bool line_breaks = false;
  // Starts the way to the fault in errors: "response_format.json_schema.schema" makes
  // "response_format.json_schema.schema.properties.a".
  std::string path = "schema";
};

class GrammarSource {
 public:
  // These very bytes. A control token whose name is part of `text` may stand for it.
  static GrammarSource literal(std::string text);
  // The whole text matches; docs/structured-output.md has the syntax.
  static GrammarSource regex(std::string pattern);
  // Rules as llama.cpp's GBNF writes them; the text is a `root`.
  static GrammarSource ebnf(std::string rules);
  // A JSON value that the schema takes; `schema` is JSON text, draft 2020-12 or 7.
  static GrammarSource json_schema(std::string schema, JsonSchemaOptions options = {});
  static GrammarSource json_object(bool line_breaks = false);  // any
  // Any text, maybe empty, in UTF-8; also the end of a text that goes on for ever.
  static GrammarSource any_text();
  // Any text that ends with the first `literal` in it. `literal` is not empty.
  static GrammarSource any_text_until(std::string literal);
  // Any text, maybe empty, that `literal` is no part of. What follows may begin with it.
  static GrammarSource any_text_without(std::string literal);

  static GrammarSource sequence(std::vector<GrammarSource> parts);
  static GrammarSource choice(std::vector<GrammarSource> parts);
  // `max` may be left out: any number.
  static GrammarSource repeat(GrammarSource part, uint32_t min,
                              std::optional<uint32_t> max = std::nullopt);

  struct Node;  // the compiler's
  const Node& node() const { return *node_; }

 private:
  explicit GrammarSource(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  std::shared_ptr<const Node> node_;  // shared by the trees that were made with it
};

}  // namespace sis::text
