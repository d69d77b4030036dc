// What a schema says about a string, and texts that are so.
//
// Length, patterns, formats and forbidden values at once: each is a deterministic automaton over
// characters, made as far as it is looked at; their product is written out. One thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/text/grammar/automaton.h"
#include "infer/text/grammar/regex_syntax.h"

namespace sis::text::grammar {

struct StringRules {
  uint32_t length_min = 0, length_max = kUnbounded;  // in characters
  std::vector<Regex> patterns;                       // all match the whole text
  std::vector<std::string> forbidden;                // values it must not have

  bool is_any() const {
    return length_min == 0 && length_max == kUnbounded && patterns.empty() && forbidden.empty();
  }
  bool operator==(const StringRules&) const = default;
  // Only its length counts, if anything.
  bool is_plain() const { return patterns.empty() && forbidden.empty(); }
};

// Errors: patterns too large to be combined.
Result<bool> matches(const StringRules& rules, std::string_view text, Effort& effort);

// The inside of a JSON string, each character written in one way (Spelling::kJsonString). For
// strings that are not is_plain().
Status add_string_content(AutomatonBuilder& builder, StateId from, const StringRules& rules,
                          StateId to);

// The pattern of a `format`; nothing for names we do not know.
std::optional<std::string_view> format_pattern(std::string_view format);

}  // namespace sis::text::grammar
