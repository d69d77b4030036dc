// Sets of characters and the ways texts write them: as UTF-8, or inside a JSON string.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "infer/text/grammar/automaton.h"

namespace sis::text::grammar {

// Unicode scalar values: surrogates are never in it.
class CharSet {
 public:
  struct Range {
    char32_t low, high;  // both included
    bool operator==(const Range&) const = default;
  };

  CharSet() = default;
  CharSet(std::initializer_list<Range> ranges) {
    for (const Range& range : ranges) add(range.low, range.high);
  }
  static CharSet all() { return CharSet{{0, 0x10FFFF}}; }

  void add(char32_t low, char32_t high);
  void add(char32_t c) { add(c, c); }
  void add(const CharSet& other);
  CharSet negated() const;
  CharSet without(const CharSet& other) const;
  bool contains(char32_t c) const;
  bool empty() const { return ranges_.empty(); }
  // Sorted, apart from each other.
  const std::vector<Range>& ranges() const { return ranges_; }
  bool operator==(const CharSet&) const = default;

 private:
  std::vector<Range> ranges_;
};

// The classes that are wholly part of `set`.
CharClassSet classes_in(const CharSet& set);

// How one character is written.
enum class Spelling : uint8_t {
  kUtf8,
  kJsonString,  // itself where JSON allows, else the short escape, else \u00xx
};

// One character of `set`, as `spelling` writes it.
void add_char(AutomatonBuilder& builder, StateId from, const CharSet& set, Spelling spelling,
              StateId to);
// A rule for any one character of a JSON string, with all escapes that JSON knows; \u only for
// characters that are whole.
RuleId add_json_char_rule(AutomatonBuilder& builder);

// `text` as the inside of a JSON string, as Spelling::kJsonString writes it.
std::string json_escaped(std::string_view text);
// Well-formed UTF-8 only.
std::u32string code_points(std::string_view text);

}  // namespace sis::text::grammar
