// Python's view of text on UTF-8: code points, white space, letter case, character classes.
//
// Pure functions of well-formed UTF-8; positions called `index` count characters, all others bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sis::text::tmpl {

bool is_ascii(std::string_view text);
size_t count_chars(std::string_view text);
// Where the character number `index` begins; text.size() past the end.
size_t byte_of_char(std::string_view text, size_t index);
// The character at text[at]; moves `at` behind it.
char32_t next_char(std::string_view text, size_t& at);
// The character that ends before text[at]; moves `at` to its start.
char32_t previous_char(std::string_view text, size_t& at);
void append_char(std::string& out, char32_t c);
std::vector<std::string_view> split_chars(std::string_view text);

bool is_space(char32_t c);      // as str.isspace and \s
bool is_printable(char32_t c);  // as str.isprintable
bool is_word(char32_t c);       // \w
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_lower(char32_t c);
bool is_upper(char32_t c);
bool is_title(char32_t c);
bool is_identifier_start(char32_t c);
bool is_identifier_part(char32_t c);

std::string to_upper(std::string_view text);
std::string to_lower_case(std::string_view text);
std::string case_fold(std::string_view text);
std::string capitalize(std::string_view text);
std::string title_case(std::string_view text);
std::string swap_case(std::string_view text);

std::string_view strip_left(std::string_view text);  // white space
std::string_view strip_right(std::string_view text);
inline std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }
// str.splitlines
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);
// First place of `needle` at or after `from`, in linear time; npos if there is none.
size_t find_text(std::string_view text, std::string_view needle, size_t from = 0);

}  // namespace sis::text::tmpl
