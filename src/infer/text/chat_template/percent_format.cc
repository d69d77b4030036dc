#include "infer/text/chat_template/percent_format.h"

#include <cmath>
#include <cstdlib>
#include <string>

#include "infer/text/chat_template/number_format.h"
#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/python_text.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

double real_number(const Value& value) {
  if (value.is_number()) return value.number();
  if (!value.is(Kind::kBigInt)) fail("must be real number, not ", type_name(value));
  const double rounded = std::strtod(std::string(value.text()).c_str(), nullptr);
  if (std::isinf(rounded)) fail("int too large to convert to float");
  return rounded;
}

class PercentFormat {
 public:
  PercentFormat(std::string_view format, const Value& values, Meter& meter)
      : format_(format), values_(values), meter_(meter) {}

  Value run() {
    std::string out;
    while (at_ < format_.size()) {
      const size_t percent = std::min(format_.find('%', at_), format_.size());
      out += format_.substr(at_, percent - at_);
      at_ = percent + 1;
      if (percent == format_.size()) break;
      out += directive();
      meter_.steps();
      if (out.size() > kStringBytesMax) fail_limit("a formatted string is too long");
    }
    const size_t given = values_.is(Kind::kTuple) ? values_.items().size() : 1;
    // One value that could be a mapping may stay unused.
    const bool mapping = values_.is(Kind::kDict) || values_.is(Kind::kList) ||
                         values_.is(Kind::kRange) || values_.is(Kind::kUndefined);
    if (used_ < given && !mapping) fail("not all arguments converted during string formatting");
    return make_string(std::move(out), meter_);
  }

 private:
  char peek() const {
    if (at_ >= format_.size()) fail("incomplete format");
    return format_[at_];
  }

  const Value& next_value() {
    if (values_.is(Kind::kTuple)) {
      if (used_ >= values_.items().size()) fail("not enough arguments for format string");
      return values_.items()[used_++];
    }
    if (used_++ != 0) fail("not enough arguments for format string");
    return values_;
  }

  size_t number(size_t max) {
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      const Value& value = next_value();
      if (!value.is_integral()) fail("* wants int");
      const int64_t size = value.as_int();
      if (size < 0) negative_star_ = true;
      const auto found = static_cast<uint64_t>(size < 0 ? 0 - static_cast<uint64_t>(size)
                                                        : static_cast<uint64_t>(size));
      if (found > max) fail_limit(concat("a format's width or precision is above ", max));
      return found;
    }
    size_t value = 0;
    while (at_ < format_.size() && format_[at_] >= '0' && format_[at_] <= '9') {
      value = value * 10 + static_cast<size_t>(format_[at_++] - '0');
      if (value > max) fail_limit(concat("a format's width or precision is above ", max));
    }
    return value;
  }

  std::string directive() {
    const Value* named = nullptr;
    if (peek() == '(') named = &by_name();
    FormatSpec spec;
    bool left = false, zero = false;
    for (;; ++at_) {
      const char flag = peek();
      if (flag == '-')
        left = true;
      else if (flag == '+')
        spec.sign = '+';
      else if (flag == ' ')
        spec.sign = spec.sign == '+' ? '+' : ' ';
      else if (flag == '#')
        spec.alternate = true;
      else if (flag == '0')
        zero = true;
      else
        break;
    }
    negative_star_ = false;
    spec.width = number(kFormatWidthMax);
    left = left || negative_star_;
    if (at_ < format_.size() && format_[at_] == '.') {
      ++at_;
      negative_star_ = false;
      spec.precision = number(kFormatPrecisionMax);
      if (negative_star_) spec.precision = 0;
    }
    if (at_ < format_.size() && (peek() == 'h' || peek() == 'l' || peek() == 'L')) ++at_;
    meter_.bytes(spec.width);
    spec.type = peek();
    ++at_;
    if (spec.type == '%') return "%";
    const Value& value = named != nullptr ? *named : next_value();
    spec.align = left ? '<' : '>';
    return convert(value, spec, zero && !left);
  }

  const Value& by_name() {
    const size_t begin = ++at_;
    for (int open = 1; open > 0; ++at_) {
      if (at_ >= format_.size()) fail("incomplete format key");
      open += format_[at_] == '(' ? 1 : format_[at_] == ')' ? -1 : 0;
    }
    const std::string_view name = format_.substr(begin, at_ - begin - 1);
    if (!values_.is(Kind::kDict)) fail("format requires a mapping");
    const Value* value = values_.as_dict().find(name);
    if (value == nullptr) fail("format key ", in_quotes(name), " is not given");
    used_ = 1;
    return *value;
  }

  std::string convert(const Value& value, FormatSpec& spec, bool zero) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a': {
        std::string text;
        if (spec.type == 's')
          append_str(text, value, meter_);
        else
          append_repr(text, value, meter_);
        if (spec.type == 'a' && !is_ascii(text)) fail("%a of text beyond ASCII is not supported");
        if (spec.precision) text.resize(byte_of_char(text, *spec.precision));
        return pad(text, spec, '>');
      }
      case 'c': {
        std::string text;
        if (value.is_string() && count_chars(value.text()) == 1) {
          text = value.text();
        } else if (value.is_integral() && value.as_int() >= 0 && value.as_int() <= 0x10FFFF &&
                   !(value.as_int() >= 0xD800 && value.as_int() < 0xE000)) {
          append_char(text, static_cast<char32_t>(value.as_int()));
        } else {
          fail("%c requires int or char");
        }
        return pad(text, spec, '>');
      }
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X':
        return integer(value, spec, zero);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        want_defined(value);
        if (!spec.precision) spec.precision = 6;
        return filled(spec, zero, [&, number = real_number(value)](const FormatSpec& plain) {
          return format_float(number, plain);
        });
      default:
        fail("unsupported format character ", in_quotes(std::string(1, spec.type)));
    }
  }

  template <class Print>
  std::string filled(FormatSpec spec, bool zero, Print&& print) {
    FormatSpec inner = spec;
    inner.width = zero ? spec.width : 0;
    inner.align = zero ? '=' : '<';
    inner.fill = zero ? "0" : "";
    return pad(print(inner), spec, '>');
  }

  std::string integer(const Value& value, FormatSpec& spec, bool zero) {
    want_defined(value);
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    int64_t number = 0;
    if (value.is_integral()) {
      number = value.as_int();
    } else if (value.is(Kind::kFloat) && decimal) {
      const double whole = std::trunc(value.as_float());
      if (!(std::fabs(whole) < 0x1p63))
        fail(to_repr(value), " as an integer is beyond 64 bits, which is not supported");
      number = static_cast<int64_t>(whole);
    } else if (value.is(Kind::kBigInt) && decimal) {
      return pad(value.text(), spec, '>');
    } else if (value.is(Kind::kBigInt)) {
      fail("formatting integers beyond 64 bits is not supported");
    } else {
      fail("%", std::string(1, spec.type), " format: a real number is required, not ",
           type_name(value));
    }
    if (decimal) spec.type = 'd';
    return filled(spec, zero, [&](const FormatSpec& plain) {
      std::string text = format_integer(number, plain);
      if (!spec.precision) return text;
      // At least this many digits.
      const size_t digits_at = text.find_first_of("0123456789abcdefABCDEF");
      std::string sign = text.substr(0, digits_at), digits = text.substr(digits_at);
      if (plain.alternate && !decimal) {
        sign += digits.substr(0, 2);
        digits.erase(0, 2);
      }
      if (digits.size() < *spec.precision) digits.insert(0, *spec.precision - digits.size(), '0');
      return sign + digits;
    });
  }

  const std::string_view format_;
  const Value& values_;
  Meter& meter_;
  size_t at_ = 0;
  size_t used_ = 0;
  bool negative_star_ = false;
};

}  // namespace

Value percent_format(std::string_view format, const Value& values, Meter& meter) {
  return PercentFormat(format, values, meter).run();
}

}  // namespace sis::text::tmpl
