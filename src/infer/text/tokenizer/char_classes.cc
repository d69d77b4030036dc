#include "infer/text/tokenizer/char_classes.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <span>

#include "infer/text/tokenizer/recent_characters.h"

namespace sis::text::tok {
namespace {

uint8_t class_of(int32_t category) {
  switch (category) {
    case U_UPPERCASE_LETTER:
    case U_TITLECASE_LETTER:
      return kClassUpper;
    case U_LOWERCASE_LETTER:
      return kClassLower;
    case U_MODIFIER_LETTER:
    case U_OTHER_LETTER:
      return kClassOther;
    case U_NON_SPACING_MARK:
    case U_ENCLOSING_MARK:
    case U_COMBINING_SPACING_MARK:
      return kClassMark;
    case U_DECIMAL_DIGIT_NUMBER:
    case U_LETTER_NUMBER:
    case U_OTHER_NUMBER:
      return kClassNumber;
    default:
      return 0;
  }
}

UBool set_range(const void* context, UChar32 start, UChar32 limit, UCharCategory category) {
  auto* classes = static_cast<uint8_t*>(const_cast<void*>(context));
  std::fill(classes + start, classes + limit, class_of(category));
  return 1;
}

}  // namespace

const CharClasses& CharClasses::get() {
  static const CharClasses classes;
  return classes;
}

CharClasses::CharClasses() : classes_(0x110000) {
  u_enumCharTypes(set_range, classes_.data());
  const auto set = [&](std::span<const CodePointRange> ranges, uint8_t to) {
    for (const CodePointRange& range : ranges)
      for (char32_t c = range.first; c <= range.last; ++c) classes_[c] = to;
  };
  set(kRecentUpper, kClassUpper);
  set(kRecentLower, kClassLower);
  set(kRecentModifiers, kClassOther);
  set(kRecentOther, kClassOther);
  set(kRecentMarks, kClassMark);
  set(kRecentDigits, kClassNumber);
  set(kRecentNumbers, kClassNumber);
  constexpr CodePointRange kSpaces[] = {
      {0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
      {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
  set(kSpaces, kClassSpace);
  classes_['\r'] = classes_['\n'] = kClassSpace | kClassNewline;
}

}  // namespace sis::text::tok
