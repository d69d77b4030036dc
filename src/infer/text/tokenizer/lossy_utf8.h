// Bytes to text with U+FFFD where they are not UTF-8: one for each longest beginning of a character
// that breaks off (Unicode 16, section 3.9, "maximal subparts"), as Rust's from_utf8_lossy has it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace sis::text::tok {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// The character or broken beginning at bytes[at].
struct Utf8Unit {
  size_t bytes = 1;
  bool whole = false;  // a character
  bool open = false;   // broken only because the bytes end there
};

inline Utf8Unit utf8_unit(std::string_view bytes, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[at + i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {.bytes = 1, .whole = true};
  if (lead < 0xC2 || lead > 0xF4) return {};
  const size_t want = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range keeps out surrogates, overlong forms and what is beyond U+10FFFF.
  unsigned low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  const size_t there = std::min(want, bytes.size() - at);
  for (size_t i = 1; i < there; ++i) {
    if (byte(i) < low || byte(i) > high) return {.bytes = i};
    low = 0x80;
    high = 0xBF;
  }
  return {.bytes = there, .whole = there == want, .open = there < want};
}

// Appends `bytes` as text. With `keep_open` a character that breaks off at the end is left out;
// returns how many bytes were used.
inline size_t append_lossy(std::string_view bytes, std::string& out, bool keep_open = false) {
  size_t kept = 0, at = 0;
  while (at < bytes.size()) {
    if (static_cast<unsigned char>(bytes[at]) < 0x80) {
      ++at;
      continue;
    }
    const Utf8Unit unit = utf8_unit(bytes, at);
    if (unit.open && keep_open) break;
    if (!unit.whole) {
      out.append(bytes, kept, at - kept).append(kReplacement);
      kept = at + unit.bytes;
    }
    at += unit.bytes;
  }
  out.append(bytes, kept, at - kept);
  return at;
}

}  // namespace sis::text::tok
