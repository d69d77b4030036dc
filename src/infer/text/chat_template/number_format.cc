#include "infer/text/chat_template/number_format.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/python_text.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

size_t read_number(std::string_view& spec, size_t max, std::string_view what) {
  size_t number = 0;
  while (!spec.empty() && spec[0] >= '0' && spec[0] <= '9') {
    number = number * 10 + static_cast<size_t>(spec[0] - '0');
    if (number > max) fail_limit(concat("a format's ", what, " is above ", max));
    spec.remove_prefix(1);
  }
  return number;
}

bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

// Thousands (or groups of four in other bases) of the leading digits.
std::string grouped(std::string_view digits, char separator, size_t group) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % group == 0) out += separator;
    out += digits[i];
  }
  return out;
}

// Sign, prefix and body, with the padding of '=' between them.
std::string assemble(std::string sign, std::string_view digits, std::string_view tail,
                     const FormatSpec& spec, size_t group) {
  std::string body =
      spec.grouping != 0 ? grouped(digits, spec.grouping, group) : std::string(digits);
  if (spec.align == '=' && spec.fill == "0" && spec.grouping != 0) {
    // Zeros are grouped as well.
    std::string zeros(digits);
    while (sign.size() + body.size() + tail.size() < spec.width) {
      zeros.insert(0, 1, '0');
      body = grouped(zeros, spec.grouping, group);
    }
  } else if (spec.align == '=') {
    const size_t size = sign.size() + body.size() + tail.size();
    const std::string fill = spec.fill.empty() ? " " : spec.fill;
    std::string padding;
    for (size_t i = size; i < spec.width; ++i) padding += fill;
    sign += padding;
  }
  return sign + body + std::string(tail);
}

std::string sign_of(bool negative, const FormatSpec& spec) {
  return negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
}

std::string printed(char type, size_t precision, bool alternate, double value) {
  char format[] = {'%', alternate ? '#' : '.', 0, 0, 0, 0};
  size_t at = 2;
  if (alternate) format[at++] = '.';
  format[at++] = '*';
  format[at] = type;
  char text[1024];
  const int size = std::snprintf(text, sizeof text, format, static_cast<int>(precision), value);
  return std::string(text, static_cast<size_t>(std::min<int>(size, sizeof text - 1)));
}

}  // namespace

FormatSpec parse_format_spec(std::string_view text) {
  FormatSpec spec;
  const std::string whole(text);
  if (!text.empty()) {
    size_t at = 0;
    next_char(text, at);
    if (at < text.size() && is_align(text[at])) {
      spec.fill = text.substr(0, at);
      spec.align = text[at];
      text.remove_prefix(at + 1);
    } else if (is_align(text[0])) {
      spec.align = text[0];
      text.remove_prefix(1);
    }
  }
  const auto take = [&](std::string_view any) -> char {
    if (text.empty() || any.find(text[0]) == std::string_view::npos) return 0;
    const char c = text[0];
    text.remove_prefix(1);
    return c;
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  if (take("z") != 0) fail("the format option 'z' is not supported");
  spec.alternate = take("#") != 0;
  if (!text.empty() && text[0] == '0') {
    text.remove_prefix(1);
    if (spec.fill.empty()) spec.fill = "0";
    if (spec.align == 0) spec.align = '=';
  }
  spec.width = read_number(text, kFormatWidthMax, "width");
  spec.grouping = take(",_");
  if (take(".") != 0) {
    if (text.empty() || text[0] < '0' || text[0] > '9') fail("Format specifier missing precision");
    spec.precision = read_number(text, kFormatPrecisionMax, "precision");
  }
  if (!text.empty()) {
    spec.type = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty()) fail("Invalid format specifier ", in_quotes(whole));
  return spec;
}

std::string fill_around(std::string_view text, const FormatSpec& spec, size_t left, size_t right) {
  const std::string fill = spec.fill.empty() ? " " : spec.fill;
  std::string out;
  for (size_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (size_t i = 0; i < right; ++i) out += fill;
  return out;
}

std::string pad(std::string_view text, const FormatSpec& spec, char default_align) {
  const size_t size = count_chars(text);
  if (size >= spec.width) return std::string(text);
  const char align = spec.align != 0 ? spec.align : default_align;
  const size_t space = spec.width - size;
  const size_t left = align == '<' ? 0 : align == '^' ? space / 2 : space;
  return fill_around(text, spec, left, space - left);
}

std::string format_integer(int64_t value, const FormatSpec& spec) {
  const bool negative = value < 0;
  const uint64_t size = negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const int base = spec.type == 'x' || spec.type == 'X' ? 16
                   : spec.type == 'o'                   ? 8
                   : spec.type == 'b'                   ? 2
                                                        : 10;
  char digits[80];
  const auto end = std::to_chars(digits, digits + sizeof digits, size, base);
  std::string text(digits, end.ptr);
  if (spec.type == 'X') text = to_upper(text);
  std::string sign = sign_of(negative, spec);
  if (spec.alternate && base != 10) sign += std::string("0") + spec.type;
  return assemble(std::move(sign), text, "", spec, base == 10 ? 3 : 4);
}

std::string format_float(double value, const FormatSpec& spec) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  const double size = std::isnan(value) ? value : std::fabs(value);
  std::string text;
  if (!std::isfinite(size)) {
    text = std::isnan(size) ? "nan" : "inf";
    if (spec.type == 'E' || spec.type == 'F' || spec.type == 'G') text = to_upper(text);
    if (spec.type == '%') text += '%';
    FormatSpec plain = spec;
    plain.grouping = 0;
    return assemble(sign_of(negative, spec), text, "", plain, 3);
  }
  if (spec.type == '%') {
    text = printed('f', spec.precision.value_or(6), spec.alternate, size * 100) + "%";
  } else if (spec.type == 0 && !spec.precision) {
    append_float(text, size);
  } else if (spec.type == 0) {
    // As 'g', but with a digit after the point, and later in changing to an exponent.
    const size_t precision = std::max<size_t>(*spec.precision, 1);
    text = printed('g', precision, spec.alternate, size);
    const double next = std::pow(10.0, static_cast<double>(precision) - 1);
    if (text.find_first_of(".e") == std::string::npos) {
      if (size >= next && size != 0)
        text = printed('e', precision - 1, spec.alternate, size);
      else
        text += ".0";
      if (const size_t e = text.find('e'); e != std::string::npos && text.find('.') < e) {
        size_t cut = e;
        while (text[cut - 1] == '0') --cut;
        if (text[cut - 1] == '.') --cut;
        text.erase(cut, e - cut);
      }
    }
  } else {
    const char type = spec.type == 'n' ? 'g' : spec.type;
    size_t precision = spec.precision.value_or(6);
    if ((type == 'g' || type == 'G') && precision == 0) precision = 1;
    text = printed(type, precision, spec.alternate, size);
  }
  const size_t whole = std::min(text.find_first_not_of("0123456789"), text.size());
  return assemble(sign_of(negative, spec), std::string_view(text).substr(0, whole),
                  std::string_view(text).substr(whole), spec, 3);
}

std::string format_value(const Value& value, std::string_view text, Meter& meter) {
  if (text.empty()) {
    std::string out;
    append_str(out, value, meter);
    return out;
  }
  const FormatSpec spec = parse_format_spec(text);
  meter.bytes(spec.width);
  const auto unknown = [&] {
    fail("Unknown format code '", std::string(1, spec.type), "' for object of type '",
         type_name(value), "'");
  };
  if (value.is_string()) {
    if (spec.type != 0 && spec.type != 's') unknown();
    if (spec.sign != '-' || spec.alternate || spec.grouping != 0 || spec.align == '=')
      if (!(spec.align == '=' && spec.fill == "0" && text.find('=') == std::string_view::npos))
        fail("this format option is not allowed for text: ", in_quotes(text));
    std::string_view shown = value.text();
    if (spec.precision) shown = shown.substr(0, byte_of_char(shown, *spec.precision));
    FormatSpec plain = spec;
    if (plain.align == '=') plain.align = '<';
    return pad(shown, plain, '<');
  }
  if (value.is_integral() && spec.type == 0 && value.is(Kind::kBool)) {
    // A boolean is formatted as the number it is once there is a spec.
    if (spec.precision) fail("Precision not allowed in integer format specifier");
    return pad(format_integer(value.as_int(), spec), spec, '>');
  }
  const std::string_view integer_types = "dxXobn";
  if (value.is_integral() &&
      (spec.type == 0 || integer_types.find(spec.type) != std::string_view::npos)) {
    if (spec.precision) fail("Precision not allowed in integer format specifier");
    if (spec.grouping == ',' && spec.type != 0 && spec.type != 'd')
      fail("Cannot specify ',' with '", std::string(1, spec.type), "'.");
    return pad(format_integer(value.as_int(), spec), spec, '>');
  }
  if (value.is_integral() && spec.type == 'c') {
    if (value.as_int() < 0 || value.as_int() > 0x10FFFF ||
        (value.as_int() >= 0xD800 && value.as_int() < 0xE000))
      fail("%c arg not in range(0x110000)");
    std::string out;
    append_char(out, static_cast<char32_t>(value.as_int()));
    return pad(out, spec, '>');
  }
  if (value.is_number()) {
    if (spec.type != 0 && std::string_view("eEfFgGn%").find(spec.type) == std::string_view::npos)
      unknown();
    return pad(format_float(value.number(), spec), spec, '>');
  }
  want_defined(value);
  if (value.is(Kind::kBigInt)) fail("formatting integers beyond 64 bits is not supported");
  fail("unsupported format string passed to ", type_name(value), ".__format__");
}

}  // namespace sis::text::tmpl
