#include "serve/api/sorted_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace sis::api {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

// Well-formed UTF-8, as the parser gives it.
void append_string(std::string& out, std::string_view text, bool ascii) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80 || !ascii) {
      ++i;
      switch (c) {
        case '"':
          out += "\\\"";
          break;
        case '\\':
          out += "\\\\";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        case '\b':
          out += "\\b";
          break;
        case '\f':
          out += "\\f";
          break;
        default:
          if (c < 0x20 || (ascii && c == 0x7F))
            out += fmt::format("\\u{:04x}", c);
          else
            out += static_cast<char>(c);
      }
      continue;
    }
    const size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    uint32_t point = c & (0xFFu >> (length + 1));
    for (size_t k = 1; k < length && i + k < text.size(); ++k)
      point = point << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    i += length;
    if (point >= 0x10000) {
      point -= 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (point >> 10), 0xDC00 + (point & 0x3FF));
    } else {
      out += fmt::format("\\u{:04x}", point);
    }
  }
  out += '"';
}

void append_double(std::string& out, double value) {
  const std::string digits = fmt::format("{}", value);
  out += digits;
  if (digits.find_first_not_of("-0123456789") == std::string::npos) out += ".0";
}

}  // namespace

void append_sorted_json(std::string& out, const simdjson::dom::object& object,
                        const SortedJsonStyle& style) {
  std::vector<std::pair<std::string_view, element>> members;
  for (const auto [key, member] : object) members.emplace_back(key, member);
  // Stable: of a key that is there twice, the last stays the last.
  std::stable_sort(members.begin(), members.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  out += '{';
  bool first = true;
  for (const auto& [key, member] : members) {
    if (!std::exchange(first, false)) out += style.comma;
    append_string(out, key, style.ascii);
    out += style.colon;
    append_sorted_json(out, member, style);
  }
  out += '}';
}

void append_sorted_json(std::string& out, const element& value, const SortedJsonStyle& style) {
  switch (value.type()) {
    case element_type::ARRAY: {
      out += '[';
      bool first = true;
      const simdjson::dom::array items = value.get_array().value_unsafe();
      for (const element item : items) {
        if (!std::exchange(first, false)) out += style.comma;
        append_sorted_json(out, item, style);
      }
      out += ']';
      return;
    }
    case element_type::OBJECT:
      return append_sorted_json(out, value.get_object().value_unsafe(), style);
    case element_type::STRING:
      return append_string(out, value.get_string().value_unsafe(), style.ascii);
    case element_type::INT64:
      out += fmt::format("{}", value.get_int64().value_unsafe());
      return;
    case element_type::UINT64:
      out += fmt::format("{}", value.get_uint64().value_unsafe());
      return;
    case element_type::DOUBLE:
      return append_double(out, value.get_double().value_unsafe());
    case element_type::BOOL:
      out += value.get_bool().value_unsafe() ? "true" : "false";
      return;
    case element_type::NULL_VALUE:
      out += "null";
      return;
  }
}

}  // namespace sis::api
