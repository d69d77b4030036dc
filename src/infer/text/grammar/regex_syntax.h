// Regular expressions as JSON Schema's `pattern` and grammars use them (ECMA-262's common part).
//
// Read: literals, . and classes, \d \w \s and their opposites, \t \n \r \f \v \0 \xHH \uHHHH
// \u{H..}, groups (also (?:...) and (?<name>...)), | and * + ? {m} {m,} {m,n}, lazy or not, and ^ $
// at the ends of alternatives. Refused by name: look-around, back references, \b \B, \p, flags,
// anchors elsewhere.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/text/grammar/char_set.h"

namespace sis::text::grammar {

struct Regex {
  // Anchors are gone once parsed.
  enum class Kind : uint8_t { kChar, kSequence, kChoice, kRepeat, kBegin, kEnd };
  Kind kind = Kind::kSequence;  // an empty sequence is the empty text
  CharSet chars;                // kChar
  std::vector<Regex> parts;     // kRepeat has one
  uint32_t min = 0, max = 0;    // kRepeat; max may be kUnbounded

  bool operator==(const Regex&) const = default;
};

enum class RegexUse : uint8_t {
  kWhole,   // the text is a match; anchors at the ends change nothing
  kSearch,  // a match is somewhere in the text, as JSON Schema has it
};

// Errors name the place in the pattern.
Result<Regex> parse_regex(std::string_view pattern, RegexUse use);

// A text that `regex` matches. Counted parts become rules named after `name`.
void add_regex(AutomatonBuilder& builder, StateId from, const Regex& regex, Spelling spelling,
               StateId to, std::string_view name);

}  // namespace sis::text::grammar
