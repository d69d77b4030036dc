// Character classes of the well-known split expressions, one byte per code point.
//
// Built once from ICU and recent_characters.h, so that they are exactly Oniguruma's \p{..} and \s.
// Any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {

enum CharClass : uint8_t {
  kClassUpper = 1 << 0,    // Lu, Lt
  kClassLower = 1 << 1,    // Ll
  kClassOther = 1 << 2,    // Lm, Lo
  kClassMark = 1 << 3,     // M
  kClassNumber = 1 << 4,   // N
  kClassSpace = 1 << 5,    // White_Space
  kClassNewline = 1 << 6,  // \r and \n, which are spaces too
  kClassLetter = kClassUpper | kClassLower | kClassOther,
};

class CharClasses {
 public:
  // Built on first use (some milliseconds).
  static const CharClasses& get();

  uint8_t of(char32_t c) const { return c < 0x110000 ? classes_[c] : uint8_t{0}; }
  // Of the character at text[at], and its length in `bytes`.
  uint8_t at(std::string_view text, size_t at, size_t& bytes) const {
    if (is_ascii(text[at])) {
      bytes = 1;
      return classes_[static_cast<unsigned char>(text[at])];
    }
    return of(decode_utf8(text, at, bytes));
  }

 private:
  CharClasses();
  std::vector<uint8_t> classes_;
};

}  // namespace sis::text::tok
