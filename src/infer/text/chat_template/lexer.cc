#include "infer/text/chat_template/lexer.h"

#include <algorithm>
#include <charconv>

#include "infer/text/chat_template/fault.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

constexpr size_t kNumberDigitsMax = 400;

bool is_number_digit(char c) { return c >= '0' && c <= '9'; }

// Every line ends in '\n', and one at the very end is dropped.
std::string with_unix_lines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

// Hexadecimal digits at text[at], exactly `count`.
char32_t hex_escape(std::string_view text, size_t at, size_t count) {
  uint32_t code = 0;
  const bool whole = at + count <= text.size();
  const auto end = whole ? std::from_chars(text.data() + at, text.data() + at + count, code, 16)
                         : std::from_chars_result{text.data(), std::errc::invalid_argument};
  if (end.ec != std::errc() || end.ptr != text.data() + at + count)
    fail("a string has a broken \\x or \\u escape: want ", count, " hexadecimal digits");
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
    fail("a string has an escape that is no character: ", fmt::format("{:x}", code));
  return code;
}

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    switch (c) {
      case '\n':
        break;
      case '\\':
      case '\'':
      case '"':
        out += c;
        break;
      case 'a':
        out += '\a';
        break;
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'v':
        out += '\v';
        break;
      case 'x':
      case 'u':
      case 'U': {
        const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        append_char(out, hex_escape(text, i + 1, digits));
        i += digits;
        break;
      }
      case 'N':
        fail("character names (\\N{...}) in strings are not supported");
      default:
        if (c >= '0' && c <= '7') {
          char32_t code = 0;
          size_t digits = 0;
          while (digits < 3 && i < text.size() && text[i] >= '0' && text[i] <= '7') {
            code = code * 8 + static_cast<char32_t>(text[i++] - '0');
            ++digits;
          }
          --i;
          append_char(out, code);
        } else {
          out += '\\';
          out += c;
        }
    }
  }
  return out;
}

class Lexer {
 public:
  Lexer(std::string source, size_t tokens_max)
      : source_(std::move(source)), tokens_max_(tokens_max) {}

  std::vector<Token> run() {
    try {
      while (at_ < source_.size()) text_and_tag();
    } catch (Fault& fault) {
      if (fault.line == 0) fault.line = line_;
      throw;
    }
    add(TokenType::kEof, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  char peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  bool starts(std::string_view text) const { return rest().starts_with(text); }

  void add(TokenType type, std::string text, Value number = {}) {
    if (tokens_.size() >= tokens_max_)
      fail_limit(concat("the template is too long: more than ", tokens_max_, " tokens"));
    tokens_.push_back({type, line_, std::move(text), std::move(number)});
  }

  void advance(size_t bytes) {
    line_ += static_cast<uint32_t>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                              source_.begin() + static_cast<ptrdiff_t>(at_ + bytes),
                                              '\n'));
    at_ += bytes;
    line_starting_ = bytes > 0 && source_[at_ - 1] == '\n';
  }

  void skip_space() {
    const std::string_view text = rest();
    if (const size_t space = text.size() - strip_left(text).size(); space != 0) advance(space);
  }

  // The end of a block or comment takes its line break along, unless a '+' says no; a '-' takes
  // all white space.
  bool end_tag(std::string_view delimiter, bool trims) {
    size_t length = delimiter.size();
    const char sign = peek();
    if (sign == '-' || (sign == '+' && trims)) {
      if (!rest().substr(1).starts_with(delimiter)) return false;
      advance(length + 1);
      if (sign == '-') skip_space();
      return true;
    }
    if (!starts(delimiter)) return false;
    if (trims && peek(length) == '\n') ++length;
    advance(length);
    return true;
  }

  // Text in front of a tag. `sign` is what follows the tag's opening delimiter.
  void data(std::string_view text, char sign, bool is_variable) {
    std::string_view kept = text;
    if (sign == '-') {
      kept = strip_right(text);
    } else if (sign != '+' && !is_variable) {
      const size_t newline = text.rfind('\n');
      const size_t line_at = newline == std::string_view::npos ? 0 : newline + 1;
      if ((line_at > 0 || line_starting_) && strip_left(text.substr(line_at)).empty())
        kept = text.substr(0, line_at);
    }
    if (!kept.empty()) add(TokenType::kData, std::string(kept));
    advance(text.size());
  }

  // `{% raw %}` or, for `word` endraw, its end; the length of the tag, 0 if it is another.
  size_t raw_tag(size_t at, std::string_view word) const {
    const std::string_view text = std::string_view(source_).substr(at);
    std::string_view left = text.substr(2);
    if (!left.empty() && (left[0] == '-' || left[0] == '+')) left.remove_prefix(1);
    left = strip_left(left);
    if (!left.starts_with(word)) return 0;
    left = strip_left(left.substr(word.size()));
    const bool ends = word == "endraw";
    if (left.starts_with("-%}")) {
      left = strip_left(left.substr(3));
    } else if (ends && left.starts_with("+%}")) {
      left.remove_prefix(3);
    } else if (left.starts_with("%}")) {
      left.remove_prefix(2);
      if (ends && left.starts_with("\n")) left.remove_prefix(1);
    } else {
      return 0;
    }
    return text.size() - left.size();
  }

  void raw_block(size_t begin_length) {
    advance(begin_length);
    for (size_t at = at_; (at = source_.find("{%", at)) != std::string::npos; ++at) {
      const size_t length = raw_tag(at, "endraw");
      if (length == 0) continue;
      data(std::string_view(source_).substr(at_, at - at_),
           at + 2 < source_.size() ? source_[at + 2] : '\0', false);
      advance(length);
      return;
    }
    fail("missing end of raw directive");
  }

  void comment() {
    advance(2);
    if (peek() == '-' || peek() == '+') advance(1);
    for (;;) {
      const size_t at = source_.find("#}", at_);
      if (at == std::string::npos) fail("missing end of comment tag");
      const char sign = at > at_ ? source_[at - 1] : '\0';
      advance(at - at_ - (sign == '-' || sign == '+'));
      if (end_tag("#}", true)) return;
    }
  }

  void text_and_tag() {
    size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        add(TokenType::kData, std::string(rest()));
        advance(source_.size() - at_);
        return;
      }
      const char c = source_[tag + 1];
      if (c == '%' || c == '{' || c == '#') break;
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const size_t raw_length = kind == '%' ? raw_tag(tag, "raw") : 0;
    data(std::string_view(source_).substr(at_, tag - at_), sign, kind == '{');
    if (raw_length != 0) return raw_block(raw_length);
    if (kind == '#') return comment();
    const bool is_variable = kind == '{';
    add(is_variable ? TokenType::kVariableBegin : TokenType::kBlockBegin,
        is_variable ? "{{" : "{%");
    advance(2 + (sign == '-' || sign == '+'));
    inside(is_variable);
  }

  void inside(bool is_variable) {
    std::string open;  // brackets that are still to be closed
    while (at_ < source_.size()) {
      if (open.empty()) {
        const uint32_t line = line_;
        if (end_tag(is_variable ? "}}" : "%}", !is_variable)) {
          add(is_variable ? TokenType::kVariableEnd : TokenType::kBlockEnd,
              is_variable ? "}}" : "%}");
          tokens_.back().line = line;
          return;
        }
      }
      const size_t before = at_;
      skip_space();
      if (at_ != before) continue;
      if (!number() && !name() && !string()) op(open);
    }
  }

  // Digits with single underscores between them.
  size_t digits(size_t ahead) const {
    size_t length = 0;
    while (is_number_digit(peek(ahead + length)) || (length != 0 && peek(ahead + length) == '_' &&
                                                     is_number_digit(peek(ahead + length + 1))))
      ++length;
    return length;
  }

  bool number() {
    if (!is_number_digit(peek())) return false;
    const size_t whole = digits(0);
    size_t length = whole;
    bool is_float = false;
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (!after_dot) {
      if (peek(length) == '.' && is_number_digit(peek(length + 1))) {
        length += 1 + digits(length + 1);
        is_float = true;
      }
      if (peek(length) == 'e' || peek(length) == 'E') {
        const size_t sign = peek(length + 1) == '+' || peek(length + 1) == '-';
        if (is_number_digit(peek(length + 1 + sign))) {
          length += 1 + sign + digits(length + 1 + sign);
          is_float = true;
        }
      }
    }
    if (is_float) {
      std::string text(rest().substr(0, length));
      std::erase(text, '_');
      double value = 0;
      const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
      if (end.ec == std::errc::result_out_of_range) value = std::strtod(text.c_str(), nullptr);
      add(TokenType::kFloat, text, Value::real(value));
      advance(length);
      return true;
    }
    integer(whole);
    return true;
  }

  void integer(size_t whole) {
    int base = 10;
    size_t length = whole, skip = 0;
    if (peek() == '0') {
      const char mark = static_cast<char>(peek(1) | 0x20);
      base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
      const auto digit = [&](char c) {
        const char low = static_cast<char>(c | 0x20);
        const int value = is_number_digit(c)         ? c - '0'
                          : low >= 'a' && low <= 'f' ? low - 'a' + 10
                                                     : 99;
        return value < base;
      };
      if (base != 10) {
        skip = length = 2;
        while (digit(peek(length)) || (peek(length) == '_' && digit(peek(length + 1)))) ++length;
      }
      if (base == 10 || length == 2) {  // a lone zero, or zeros
        base = 10;
        skip = 0;
        length = 1;
        while (peek(length) == '0' || (peek(length) == '_' && peek(length + 1) == '0')) ++length;
      }
    }
    std::string text(rest().substr(0, length));
    std::string plain = text.substr(skip);
    std::erase(plain, '_');
    if (plain.size() > kNumberDigitsMax) fail_limit("a number has too many digits");
    int64_t value = 0;
    const auto end = std::from_chars(plain.data(), plain.data() + plain.size(), value, base);
    if (end.ec != std::errc() && base != 10)
      fail("the number ", text, " is beyond 64 bits, which is not supported");
    add(TokenType::kInteger, text,
        end.ec == std::errc() ? Value::integer(value) : Value::big_integer(plain));
    advance(length);
  }

  bool name() {
    size_t end = at_;
    while (end < source_.size()) {
      size_t next = end;
      const char32_t c = next_char(source_, next);
      const bool part = c < 0x80 ? (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                                       (c >= '0' && c <= '9')
                                 : is_identifier_part(c) || is_word(c);
      if (!part) break;
      if (c >= 0x80 && !(end == at_ ? is_identifier_start(c) : is_identifier_part(c)))
        fail("invalid character in identifier");
      end = next;
    }
    if (end == at_) return false;
    add(TokenType::kName, source_.substr(at_, end - at_));
    advance(end - at_);
    return true;
  }

  bool string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') return false;
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("a string that begins here has no end");
    add(TokenType::kString, unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
    advance(end + 1 - at_);
    return true;
  }

  void op(std::string& open) {
    static constexpr std::string_view kLong[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kShort = "+-/*%~[](){}><=.:|,;";
    std::string_view found;
    for (std::string_view candidate : kLong)
      if (starts(candidate)) found = candidate;
    if (found.empty() && kShort.find(peek()) != std::string_view::npos) found = rest().substr(0, 1);
    if (found.empty())
      fail("unexpected character ", in_quotes(split_chars(rest().substr(0, 4))[0]));
    const char c = found[0];
    if (c == '(' || c == '[' || c == '{') {
      open += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) fail("unexpected '", found, "'");
      if (open.back() != c) fail("unexpected '", found, "', expected '", open.back(), "'");
      open.pop_back();
    }
    add(TokenType::kOperator, std::string(found));
    advance(found.size());
  }

  const std::string source_;
  const size_t tokens_max_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  uint32_t line_ = 1;
  bool line_starting_ = true;  // what was read last ended a line
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, size_t tokens_max) {
  return Lexer(with_unix_lines(source), tokens_max).run();
}

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::kData:
      return "template text";
    case TokenType::kVariableBegin:
      return "begin of print statement";
    case TokenType::kVariableEnd:
      return "end of print statement";
    case TokenType::kBlockBegin:
      return "begin of statement block";
    case TokenType::kBlockEnd:
      return "end of statement block";
    case TokenType::kEof:
      return "end of template";
    default:
      return in_quotes(token.text, 40);
  }
}

}  // namespace sis::text::tmpl
