#include "infer/text/chat_template/unicode.h"

#include <string.h>
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>

namespace sis::text::tmpl {
namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

int numeric_type(char32_t c) {
  return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_NUMERIC_TYPE);
}

bool has(char32_t c, UProperty property) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), property);
}

icu::UnicodeString wide(std::string_view text) {
  return icu::UnicodeString::fromUTF8({text.data(), static_cast<int32_t>(text.size())});
}

std::string narrow(const icu::UnicodeString& text) {
  std::string out;
  return text.toUTF8String(out);
}

template <class Map>
std::string map_ascii(std::string_view text, Map&& map) {
  std::string out(text);
  for (char& c : out) c = map(c);
  return out;
}

char ascii_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Title case of one character, which may be several ("ß" is "Ss").
std::string title_of(char32_t c) {
  icu::UnicodeString text(static_cast<UChar32>(c));
  text.toTitle(nullptr, icu::Locale::getRoot(), 0x100 /* no lower-casing of the rest */);
  return narrow(text);
}

}  // namespace

bool is_ascii(std::string_view text) {
  size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t word;
    memcpy(&word, text.data() + at, 8);
    if ((word & 0x8080808080808080u) != 0) return false;
  }
  for (; at < text.size(); ++at)
    if (static_cast<unsigned char>(text[at]) >= 0x80) return false;
  return true;
}

size_t count_chars(std::string_view text) {
  size_t count = 0;
  for (char byte : text) count += !continues(byte);
  return count;
}

size_t byte_of_char(std::string_view text, size_t index) {
  if (is_ascii(text)) return index < text.size() ? index : text.size();
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (continues(text[at])) continue;
    if (index-- == 0) return at;
  }
  return at;
}

char32_t next_char(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) -> uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) & 0x3F : 0;
  };
  const uint32_t lead = static_cast<unsigned char>(text[at]);
  const size_t begin = at;
  const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  at = begin + length < text.size() ? begin + length : text.size();
  switch (length) {
    case 1:
      return lead;
    case 2:
      return (lead & 0x1F) << 6 | byte(begin + 1);
    case 3:
      return (lead & 0x0F) << 12 | byte(begin + 1) << 6 | byte(begin + 2);
    default:
      return (lead & 0x07) << 18 | byte(begin + 1) << 12 | byte(begin + 2) << 6 | byte(begin + 3);
  }
}

char32_t previous_char(std::string_view text, size_t& at) {
  --at;
  while (at > 0 && continues(text[at])) --at;
  size_t begin = at;
  return next_char(text, begin);
}

void append_char(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

std::vector<std::string_view> split_chars(std::string_view text) {
  std::vector<std::string_view> chars;
  chars.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    next_char(text, at);
    chars.push_back(text.substr(begin, at - begin));
  }
  return chars;
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c < 0x80) return c >= 0x20 && c != 0x7F;
  switch (u_charType(static_cast<UChar32>(c))) {
    case U_CONTROL_CHAR:
    case U_FORMAT_CHAR:
    case U_SURROGATE:
    case U_PRIVATE_USE_CHAR:
    case U_UNASSIGNED:
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR:
    case U_SPACE_SEPARATOR:
      return false;
    default:
      return true;
  }
}

bool is_alpha(char32_t c) {
  const int type = u_charType(static_cast<UChar32>(c));
  return type >= U_UPPERCASE_LETTER && type <= U_OTHER_LETTER;
}

bool is_decimal(char32_t c) { return numeric_type(c) == U_NT_DECIMAL; }

bool is_digit(char32_t c) {
  const int type = numeric_type(c);
  return type == U_NT_DECIMAL || type == U_NT_DIGIT;
}

bool is_numeric(char32_t c) { return numeric_type(c) != U_NT_NONE; }
bool is_word(char32_t c) { return c == '_' || is_alpha(c) || is_numeric(c); }
bool is_lower(char32_t c) { return has(c, UCHAR_LOWERCASE); }
bool is_upper(char32_t c) { return has(c, UCHAR_UPPERCASE); }
bool is_title(char32_t c) { return u_charType(static_cast<UChar32>(c)) == U_TITLECASE_LETTER; }
bool is_identifier_start(char32_t c) { return c == '_' || has(c, UCHAR_XID_START); }
bool is_identifier_part(char32_t c) { return has(c, UCHAR_XID_CONTINUE); }

std::string to_upper(std::string_view text) {
  if (is_ascii(text)) return map_ascii(text, ascii_upper);
  return narrow(wide(text).toUpper(icu::Locale::getRoot()));
}

std::string to_lower_case(std::string_view text) {
  if (is_ascii(text)) return map_ascii(text, ascii_lower);
  return narrow(wide(text).toLower(icu::Locale::getRoot()));
}

std::string case_fold(std::string_view text) {
  if (is_ascii(text)) return map_ascii(text, ascii_lower);
  return narrow(wide(text).foldCase());
}

std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  size_t rest = 0;
  const char32_t first = next_char(text, rest);
  // Lower-cased as a whole, because a final sigma depends on what stands before it.
  size_t lower_rest = 0;
  const std::string lower = to_lower_case(text);
  std::string head;
  append_char(head, first);
  lower_rest = to_lower_case(head).size();
  return title_of(first) + lower.substr(std::min(lower_rest, lower.size()));
}

std::string title_case(std::string_view text) {
  std::string out;
  size_t word = std::string_view::npos;  // where the current run of cased letters began
  const auto close = [&](size_t end) {
    if (word == std::string_view::npos) return;
    out += capitalize(text.substr(word, end - word));
    word = std::string_view::npos;
  };
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_char(text, at);
    if (is_lower(c) || is_upper(c) || is_title(c)) {
      if (word == std::string_view::npos) word = begin;
    } else {
      close(begin);
      out += title_of(c);
    }
  }
  close(text.size());
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  for (std::string_view c : split_chars(text)) {
    size_t at = 0;
    const char32_t code = next_char(c, at);
    out += is_upper(code) ? to_lower_case(c) : is_lower(code) ? to_upper(c) : std::string(c);
  }
  return out;
}

std::string_view strip_left(std::string_view text) {
  size_t begin = 0;
  while (begin < text.size()) {
    size_t at = begin;
    if (!is_space(next_char(text, at))) break;
    begin = at;
  }
  return text.substr(begin);
}

std::string_view strip_right(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t at = end;
    if (!is_space(previous_char(text, at))) break;
    end = at;
  }
  return text.substr(0, end);
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t c = next_char(text, at);
    const bool breaks =
        (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!breaks) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

size_t find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  const void* at = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  return at == nullptr ? std::string_view::npos
                       : static_cast<size_t>(static_cast<const char*>(at) - text.data());
}

}  // namespace sis::text::tmpl
