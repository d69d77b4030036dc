// Classes of characters that many strings are made of, known to vocabularies beforehand.
//
// A token of such characters only is allowed wherever a grammar takes that many of any of them, so
// masks begin with these and only the other tokens need a look (machine_masks.cc).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sis::text::grammar {

enum class CharClass : uint8_t {
  kPlain,  // what stands for itself in a JSON string: all but ", \ and controls below U+0020
  kMild,   // letters, digits, space, - _ . , and all beyond ASCII
  kAlnum,  // [A-Za-z0-9]
  kLower,  // [a-z]
};
// Larger ones first.
inline constexpr std::array kCharClasses{CharClass::kPlain, CharClass::kMild, CharClass::kAlnum,
                                         CharClass::kLower};

// A set of classes, as bits.
using CharClassSet = uint8_t;
constexpr CharClassSet bit_of(CharClass one) {
  return static_cast<CharClassSet>(1u << static_cast<unsigned>(one));
}

// Whether characters of the class are written with this byte.
constexpr bool is_byte_of(CharClass one, uint8_t byte) {
  const bool is_lower = byte >= 'a' && byte <= 'z';
  const bool is_alnum = is_lower || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
  switch (one) {
    case CharClass::kPlain:
      return byte >= 0x20 && byte != '"' && byte != '\\';
    case CharClass::kMild:
      return is_alnum || byte >= 0x80 || byte == ' ' || byte == '-' || byte == '_' || byte == '.' ||
             byte == ',';
    case CharClass::kAlnum:
      return is_alnum;
    case CharClass::kLower:
      return is_lower;
  }
  return false;
}

}  // namespace sis::text::grammar
