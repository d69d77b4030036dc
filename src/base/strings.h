// Small text helpers. Everything is byte-wise; Unicode belongs to infer/text.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sis {

// Joins printable things without a format string: concat("row ", 3, " of ", n).
template <class... Parts>
std::string concat(const Parts&... parts) {
  fmt::memory_buffer buffer;
  (fmt::format_to(std::back_inserter(buffer), "{}", parts), ...);
  return fmt::to_string(buffer);
}

std::string_view trim(std::string_view text);  // ASCII white space off both ends
std::vector<std::string> split(std::string_view text, char separator);
// Comma separated, items trimmed, blanks dropped.
std::vector<std::string> split_list(std::string_view text);
std::string to_lower(std::string_view text);           // ASCII only
bool iequals(std::string_view a, std::string_view b);  // ASCII only

// Whole text must be the number; no white space, no sign games: "12" yes, "12x" no, "" no.
std::optional<int64_t> parse_int(std::string_view text);
std::optional<double> parse_double(std::string_view text);  // finite only

// True when `text` is well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view text);
// Code points of well-formed UTF-8.
int64_t count_code_points(std::string_view text);

// "a, b, c"
template <class Items>
std::string join_list(const Items& items) {
  return fmt::format("{}", fmt::join(items, ", "));
}

// `text` made safe to print inside an error: control bytes escaped, cut to `max_bytes` with "...".
std::string in_quotes(std::string_view text, size_t max_bytes = 80);

}  // namespace sis
