// The nodes of a GrammarSource. For the compiler.
#pragma once

#include <string>
#include <vector>

#include "infer/text/grammar/source.h"

namespace sis::text {

struct GrammarSource::Node {
  enum class Kind : uint8_t {
    kLiteral,
    kRegex,
    kEbnf,
    kJsonSchema,
    kJsonObject,
    kAnyText,
    kAnyTextUntil,
    kAnyTextWithout,
    kSequence,
    kChoice,
    kRepeat,
  };
  Kind kind;
  std::string text;  // literal, pattern, rules or schema
  JsonSchemaOptions json;
  std::vector<GrammarSource> parts;
  uint32_t min = 0;
  std::optional<uint32_t> max;
};

}  // namespace sis::text
