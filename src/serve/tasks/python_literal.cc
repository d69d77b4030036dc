#include "serve/tasks/python_literal.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/strings.h"
#include "serve/tasks/json_scanner.h"

namespace sis::tasks {
namespace {

constexpr int kDepthMax = 64;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}
bool is_argument_name(char c) {
  return is_name(c) || c == '-' || c == '.' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

class Reader {
 public:
  Reader(std::string_view text, std::string& json) : text_(text), json_(json) {}

  bool arguments() {
    std::set<std::string_view> names;
    json_ += '{';
    skip_space();
    while (at_ < text_.size()) {
      const std::string_view name = word(is_argument_name);
      if (name.empty() || !names.insert(name).second || !take('=')) return false;
      if (names.size() > 1) json_ += ", ";
      append_json_string(json_, name);
      json_ += ": ";
      if (!value(0)) return false;
      if (at_ < text_.size() && !take(',')) return false;
    }
    json_ += '}';
    return true;
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    skip_space();
    return true;
  }
  std::string_view word(bool (*is_part)(char)) {
    const size_t begin = at_;
    while (at_ < text_.size() && is_part(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  bool value(int depth) {
    if (at_ >= text_.size() || depth > kDepthMax) return false;
    const char c = text_[at_];
    bool sound = false;
    if (c == '[')
      sound = list(']', depth);
    else if (c == '(')
      sound = list(')', depth);
    else if (c == '{')
      sound = dict(depth);
    else if (c == '"' || c == '\'')
      sound = string();
    else if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.')
      sound = number();
    else
      sound = constant();
    skip_space();
    return sound;
  }

  bool list(char close, int depth) {
    ++at_;
    skip_space();
    json_ += '[';
    for (bool first = true; !take(close); first = false) {
      if (!first) json_ += ", ";
      if (!value(depth + 1)) return false;
      if (at_ < text_.size() && text_[at_] != close && !take(',')) return false;
    }
    json_ += ']';
    return true;
  }

  bool dict(int depth) {
    ++at_;
    skip_space();
    json_ += '{';
    for (bool first = true; !take('}'); first = false) {
      if (!first) json_ += ", ";
      if (at_ >= text_.size() || (text_[at_] != '"' && text_[at_] != '\'') || !string())
        return false;
      if (!take(':')) return false;
      json_ += ": ";
      if (!value(depth + 1)) return false;
      if (at_ < text_.size() && text_[at_] != '}' && !take(',')) return false;
    }
    json_ += '}';
    return true;
  }

  bool number() {
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (is_name(text_[at_]) || text_[at_] == '.' || text_[at_] == '-' || text_[at_] == '+'))
      ++at_;
    std::string digits(text_.substr(begin, at_ - begin));
    std::erase(digits, '_');
    // What Python allows and JSON does not: a sign +, no digit on one side of the point.
    if (digits.starts_with('+')) digits.erase(0, 1);
    const size_t point = digits.find('.');
    if (point != std::string::npos) {
      const bool none_before = point == 0 || digits[point - 1] == '-';
      const bool none_after =
          point + 1 == digits.size() || digits[point + 1] == 'e' || digits[point + 1] == 'E';
      if (none_before && none_after) return false;
      if (none_after) digits.insert(point + 1, "0");
      if (none_before) digits.insert(point, "0");
    }
    JsonScanner scanner;
    scanner.push('[');
    for (const char c : digits)
      if (scanner.push(c) != JsonScanner::State::kNumber) return false;
    if (scanner.push(']') != JsonScanner::State::kDone) return false;
    json_ += digits;
    return true;
  }

  bool constant() {
    const std::string_view name = word(is_name);
    if (name == "True" || name == "true")
      json_ += "true";
    else if (name == "False" || name == "false")
      json_ += "false";
    else if (name == "None" || name == "null")
      json_ += "null";
    else
      return false;
    return true;
  }

  bool string() {
    const char quote = text_[at_];
    const std::string three(3, quote);
    const bool triple = text_.substr(at_).starts_with(three);
    at_ += triple ? 3 : 1;
    std::string out;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == quote && (!triple || text_.substr(at_).starts_with(three))) {
        at_ += triple ? 3 : 1;
        append_json_string(json_, out);
        return true;
      }
      if (c != '\\') {
        out += c;
      } else if (!escape(out)) {
        return false;
      }
    }
    return false;
  }

  // At the backslash; leaves at_ on the last byte of the escape.
  bool escape(std::string& out) {
    if (++at_ >= text_.size()) return false;
    const char c = text_[at_];
    // The slash is JSON's: models and grammars write its strings.
    constexpr std::string_view kPlain = "\\'\"/abfnrtv";
    if (const size_t found = kPlain.find(c); found != std::string_view::npos) {
      out += "\\'\"/\a\b\f\n\r\t\v"[found];
      return true;
    }
    if (c == '\n') return true;  // a line goes on
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {  // Python keeps escapes it does not know
      out += '\\';
      --at_;
      return true;
    }
    std::optional<uint32_t> code_point = hex(at_ + 1, digits);
    if (!code_point) return false;
    at_ += digits;
    // JSON writes what is above U+FFFF as two halves.
    if (digits == 4 && *code_point >= 0xD800 && *code_point < 0xDC00 &&
        text_.substr(at_ + 1).starts_with("\\u")) {
      const auto low = hex(at_ + 3, 4);
      if (low && *low >= 0xDC00 && *low < 0xE000) {
        code_point = 0x10000 + ((*code_point - 0xD800) << 10) + (*low - 0xDC00);
        at_ += 6;
      }
    }
    append_utf8(out, *code_point);
    return true;
  }

  std::optional<uint32_t> hex(size_t begin, size_t digits) const {
    if (begin + digits > text_.size()) return std::nullopt;
    uint32_t number = 0;
    for (const char c : text_.substr(begin, digits)) {
      const size_t digit = std::string_view("0123456789abcdef")
                               .find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
      if (digit == std::string_view::npos) return std::nullopt;
      number = number << 4 | static_cast<uint32_t>(digit);
    }
    return number;
  }

  const std::string_view text_;
  std::string& json_;
  size_t at_ = 0;
};

}  // namespace

bool python_arguments_to_json(std::string_view arguments, std::string& json) {
  json.clear();
  return Reader(arguments, json).arguments();
}

bool is_python_argument_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), is_argument_name);
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    append_json_byte(out, c, true);
  }
  out += '"';
}

}  // namespace sis::tasks
