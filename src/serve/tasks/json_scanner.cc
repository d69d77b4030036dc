#include "serve/tasks/json_scanner.h"

#include <fmt/format.h>

namespace sis::tasks {
namespace {

constexpr size_t kDepthMax = 128;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

uint32_t hex4(std::string_view digits) {
  uint32_t value = 0;
  for (const char c : digits.substr(0, 4)) value = value * 16 + static_cast<uint32_t>(hex_digit(c));
  return value;
}

// Where a number stands: what was read last.
enum Number : uint8_t { kMinus, kZero, kDigits, kPoint, kFraction, kE, kSign, kExponent, kEnd };

Number next_of(Number at, char c) {
  if (is_digit(c)) {
    switch (at) {
      case kMinus:
        return c == '0' ? kZero : kDigits;
      case kDigits:
        return kDigits;
      case kPoint:
      case kFraction:
        return kFraction;
      case kE:
      case kSign:
      case kExponent:
        return kExponent;
      default:
        return kEnd;  // a digit after a leading zero
    }
  }
  const bool whole = at == kZero || at == kDigits;
  if (c == '.' && whole) return kPoint;
  if ((c == 'e' || c == 'E') && (whole || at == kFraction)) return kE;
  if ((c == '+' || c == '-') && at == kE) return kSign;
  return kEnd;
}

}  // namespace

JsonScanner::State JsonScanner::push(char c) {
  switch (state_) {
    case State::kString:
      return state_ = push_string(c);
    case State::kNumber:
      return state_ = push_number(c);
    case State::kLiteral:
      if (c != literal_.front()) return state_ = State::kFault;
      literal_.remove_prefix(1);
      return state_ = literal_.empty() ? value_ended() : State::kLiteral;
    case State::kDone:
    case State::kFault:
      return state_ = State::kFault;
    default:
      break;
  }
  if (is_space(c)) return state_;
  switch (state_) {
    case State::kValueOrClose:
    case State::kValue:
      if (state_ == State::kValueOrClose && c == ']') {
        open_.pop_back();
        return state_ = value_ended();
      }
      return state_ = begin_value(c);
    case State::kKeyOrClose:
    case State::kKey:
      if (state_ == State::kKeyOrClose && c == '}') {
        open_.pop_back();
        return state_ = value_ended();
      }
      is_key_ = true;
      return state_ = c == '"' ? State::kString : State::kFault;
    case State::kColon:
      return state_ = c == ':' ? State::kValue : State::kFault;
    default:  // kCommaOrClose
      if (c == ',') return state_ = open_.back() == '{' ? State::kKey : State::kValue;
      if (c != (open_.back() == '{' ? '}' : ']')) return state_ = State::kFault;
      open_.pop_back();
      return state_ = value_ended();
  }
}

JsonScanner::State JsonScanner::value_ended() {
  return open_.empty() ? State::kDone : State::kCommaOrClose;
}

JsonScanner::State JsonScanner::begin_value(char c) {
  is_key_ = false;
  if (c == '{' || c == '[') {
    if (open_.size() >= kDepthMax) return State::kFault;
    open_ += c;
    return c == '{' ? State::kKeyOrClose : State::kValueOrClose;
  }
  if (c == '"') return State::kString;
  if (c == '-' || is_digit(c)) {
    number_ = c == '-' ? kMinus : c == '0' ? kZero : kDigits;
    return State::kNumber;
  }
  literal_ = c == 't' ? "rue" : c == 'f' ? "alse" : c == 'n' ? "ull" : "";
  return literal_.empty() ? State::kFault : State::kLiteral;
}

JsonScanner::State JsonScanner::push_string(char c) {
  if (escape_ == 1) {
    if (std::string_view("\"\\/bfnrtu").find(c) == std::string_view::npos) return State::kFault;
    escape_ = c == 'u' ? 2 : 0;
  } else if (escape_ > 1) {
    if (hex_digit(c) < 0) return State::kFault;
    escape_ = escape_ == 5 ? 0 : escape_ + 1;
  } else if (c == '\\') {
    escape_ = 1;
  } else if (c == '"') {
    return is_key_ ? State::kColon : value_ended();
  }
  return State::kString;
}

JsonScanner::State JsonScanner::push_number(char c) {
  const auto at = static_cast<Number>(number_);
  const Number next = next_of(at, c);
  number_ = next;
  if (next != kEnd) return State::kNumber;
  const bool whole = at == kZero || at == kDigits || at == kFraction || at == kExponent;
  if (!whole || is_digit(c) || open_.empty()) return State::kFault;
  state_ = State::kCommaOrClose;
  return push(c);
}

void append_utf8(std::string& out, uint32_t code_point) {
  if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point < 0xE000)) code_point = 0xFFFD;
  const auto tail = [&](int shift) {
    out += static_cast<char>(0x80 | ((code_point >> shift) & 0x3F));
  };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xC0 | code_point >> 6);
    tail(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xE0 | code_point >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | code_point >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string decode_json_string(std::string_view quoted) {
  const std::string_view text = quoted.substr(1, quoted.size() - 2);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c != 'u') {
      const size_t plain = std::string_view("bfnrt").find(c);
      out += plain == std::string_view::npos ? c : "\b\f\n\r\t"[plain];
      continue;
    }
    uint32_t unit = hex4(text.substr(i + 1));
    i += 4;
    if (unit >= 0xD800 && unit < 0xDC00 && text.substr(i + 1).starts_with("\\u")) {
      const uint32_t low = hex4(text.substr(i + 3));
      if (low >= 0xDC00 && low < 0xE000) {
        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        i += 6;
      }
    }
    append_utf8(out, unit);
  }
  return out;
}

void append_json_byte(std::string& out, char c, bool in_string) {
  if (!in_string || static_cast<unsigned char>(c) >= 0x20) {
    out += c;
  } else if (c == '\n') {
    out += "\\n";
  } else if (c == '\t') {
    out += "\\t";
  } else {
    out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
  }
}

}  // namespace sis::tasks
