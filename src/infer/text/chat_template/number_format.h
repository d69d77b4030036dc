// Numbers and text laid out as Python's formatting codes ask: widths, signs, precision, bases.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "infer/text/chat_template/meter.h"
#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

constexpr size_t kFormatWidthMax = 100'000;
constexpr size_t kFormatPrecisionMax = 400;

struct FormatSpec {
  std::string fill;        // one character; empty: a space
  char align = 0;          // < > ^ = or 0: as the type likes it
  char sign = '-';         // - + or space
  bool alternate = false;  // #
  char grouping = 0;       // , or _
  size_t width = 0;
  std::optional<size_t> precision;
  char type = 0;
};

// "*^+10.3f"; throws Fault on anything else.
FormatSpec parse_format_spec(std::string_view spec);
// format(value, spec)
std::string format_value(const Value& value, std::string_view spec, Meter& meter);

// `text` with so many of the fill (a space unless `spec` says) on either side.
std::string fill_around(std::string_view text, const FormatSpec& spec, size_t left, size_t right);
std::string pad(std::string_view text, const FormatSpec& spec, char default_align);
// Digits with sign and prefix, not padded, except for '=' with zeros.
std::string format_integer(int64_t value, const FormatSpec& spec);
std::string format_float(double value, const FormatSpec& spec);

}  // namespace sis::text::tmpl
