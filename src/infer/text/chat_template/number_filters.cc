// Filters that make or change numbers.
#include <charconv>
#include <cmath>

#include "infer/text/chat_template/filters.h"
#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

constexpr size_t kDigitsMax = 4300;

// Without white space around and single underscores between digits; nothing if they are elsewhere.
std::optional<std::string> plain_number(std::string_view text) {
  text = strip(text);
  if (text.size() > kDigitsMax) return std::nullopt;
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const bool between = i > 0 && i + 1 < text.size() &&
                         std::isalnum(static_cast<unsigned char>(text[i - 1])) &&
                         std::isalnum(static_cast<unsigned char>(text[i + 1]));
    if (!between) return std::nullopt;
  }
  return out;
}

// int(text, base)
std::optional<Value> parse_integer(std::string_view given, int64_t base) {
  auto text = plain_number(given);
  if (!text || text->empty()) return std::nullopt;
  std::string_view digits = *text;
  const bool negative = digits[0] == '-';
  if (negative || digits[0] == '+') digits.remove_prefix(1);
  const auto prefix = [&](char letter, int64_t of) {
    if ((base == of || base == 0) && digits.size() > 2 && digits[0] == '0' &&
        (digits[1] | 0x20) == letter) {
      digits.remove_prefix(2);
      base = of;
    }
  };
  prefix('x', 16);
  prefix('o', 8);
  prefix('b', 2);
  if (base == 0) {
    if (digits.size() > 1 && digits[0] == '0' &&
        digits.find_first_not_of('0') != std::string_view::npos)
      return std::nullopt;
    base = 10;
  }
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return std::nullopt;
  const std::string whole = (negative ? "-" : "") + std::string(digits);
  int64_t value = 0;
  const auto end =
      std::from_chars(whole.data(), whole.data() + whole.size(), value, static_cast<int>(base));
  if (end.ptr != whole.data() + whole.size()) return std::nullopt;
  if (end.ec == std::errc()) return Value::integer(value);
  if (end.ec != std::errc::result_out_of_range) return std::nullopt;
  if (base != 10)
    fail("the integer ", in_quotes(given), " is beyond 64 bits, which is not supported");
  const size_t zeros = digits.find_first_not_of('0');
  return Value::big_integer((negative ? "-" : "") + std::string(digits.substr(zeros)));
}

// float(text)
std::optional<double> parse_float(std::string_view given) {
  auto text = plain_number(given);
  if (!text || text->empty()) return std::nullopt;
  std::string lower = to_lower_case(*text);
  std::string_view body = lower;
  const bool negative = body[0] == '-';
  if (negative || body[0] == '+') body.remove_prefix(1);
  if (body == "inf" || body == "infinity") return negative ? -INFINITY : INFINITY;
  if (body == "nan") return NAN;
  if (body.empty() || (!(body[0] >= '0' && body[0] <= '9') && body[0] != '.')) return std::nullopt;
  double value = 0;
  const auto end = std::from_chars(body.data(), body.data() + body.size(), value);
  if (end.ptr != body.data() + body.size()) return std::nullopt;
  if (end.ec == std::errc::result_out_of_range)
    value = std::strtod(std::string(body).c_str(), nullptr);
  return negative ? -value : value;
}

std::optional<Value> whole_part(double value) {
  if (std::isnan(value)) return std::nullopt;
  const double whole = std::trunc(value);
  if (std::fabs(whole) < 0x1p63) return Value::integer(static_cast<int64_t>(whole));
  if (std::isinf(whole)) return std::nullopt;
  return Value::big_integer(fmt::format("{:.0f}", whole));
}

Value to_int(Interpreter&, const Value& subject, Arguments& arguments) {
  const auto [fallback, base] = bind("int", arguments, {"default", "base"}, 0);
  const Value otherwise = fallback != nullptr ? *fallback : Value::integer(0);
  if (subject.is_integral()) return Value::integer(subject.as_int());
  if (subject.is(Kind::kBigInt)) return subject;
  want_defined(subject);
  if (subject.is(Kind::kFloat)) {
    if (std::isinf(subject.as_float())) fail("cannot convert float infinity to integer");
    return whole_part(subject.as_float()).value_or(otherwise);
  }
  if (!subject.is_string()) return otherwise;
  int64_t radix = 10;
  if (base != nullptr) {
    if (!base->is_integral())
      radix = -1;
    else
      radix = base->as_int();
  }
  if (radix == 0 || (radix >= 2 && radix <= 36))
    if (auto value = parse_integer(subject.text(), radix)) return std::move(*value);
  if (const auto value = parse_float(subject.text())) return whole_part(*value).value_or(otherwise);
  return otherwise;
}

Value to_float(Interpreter&, const Value& subject, Arguments& arguments) {
  const auto [fallback] = bind("float", arguments, {"default"}, 0);
  const Value otherwise = fallback != nullptr ? *fallback : Value::real(0);
  if (subject.is_number()) return Value::real(subject.number());
  if (subject.is(Kind::kBigInt))
    return Value::real(std::strtod(std::string(subject.text()).c_str(), nullptr));
  want_defined(subject);
  if (!subject.is_string()) return otherwise;
  const auto value = parse_float(subject.text());
  return value ? Value::real(*value) : otherwise;
}

Value absolute(Interpreter&, const Value& subject, Arguments& arguments) {
  bind_none("abs", arguments);
  if (subject.is(Kind::kFloat)) return Value::real(std::fabs(subject.as_float()));
  if (subject.is(Kind::kBigInt)) fail("computing with integers beyond 64 bits is not supported");
  if (!subject.is_integral()) fail("bad operand type for abs(): '", type_name(subject), "'");
  return subject.as_int() < 0 ? negated(Op::kNeg, subject) : Value::integer(subject.as_int());
}

int64_t power_of_ten(int64_t exponent) {
  int64_t power = 1;
  for (int64_t i = 0; i < exponent; ++i) power *= 10;
  return power;
}

// To the nearest multiple of 10^digits, halves to even.
Value round_integer(int64_t value, int64_t digits) {
  if (digits >= 19) return Value::integer(0);
  const __int128 unit = power_of_ten(digits), wide = value;
  __int128 rest = wide % unit;
  if (rest < 0) rest += unit;
  __int128 low = wide - rest;
  if (rest * 2 > unit || (rest * 2 == unit && (low / unit) % 2 != 0)) low += unit;
  if (low > INT64_MAX || low < INT64_MIN)
    fail("the result is beyond 64 bits, which is not supported");
  return Value::integer(static_cast<int64_t>(low));
}

double round_float(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 323) return value;
  if (digits < -308) return std::copysign(0.0, value);
  if (digits >= 0) {
    // Printing rounds the exact binary value, halves to even.
    char text[800];
    std::snprintf(text, sizeof text, "%.*f", static_cast<int>(digits), value);
    return std::strtod(text, nullptr);
  }
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(value / unit) * unit;
}

Value round(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [precision, how] = bind("round", arguments, {"precision", "method"}, 0);
  const std::string_view method = how == nullptr ? "common" : how->is_string() ? how->text() : "";
  if (method != "common" && method != "ceil" && method != "floor")
    fail("method must be common, ceil or floor");
  want_defined(subject);
  if (subject.is(Kind::kBigInt)) fail("rounding integers beyond 64 bits is not supported");
  if (!subject.is_number()) fail("round wants a number, found ", type_name(subject));
  if (precision != nullptr && !precision->is_integral())
    fail("round wants an integer precision, found ", type_name(*precision));
  const int64_t digits = precision != nullptr ? precision->as_int() : 0;
  if (method == "common") {
    if (subject.is(Kind::kFloat)) return Value::real(round_float(subject.as_float(), digits));
    return digits >= 0 ? Value::integer(subject.as_int())
                       : round_integer(subject.as_int(), digits < -30 ? 30 : -digits);
  }
  const Value scale = arithmetic(Op::kPow, Value::integer(10), Value::integer(digits), in.meter());
  const Value scaled = arithmetic(Op::kMul, subject, scale, in.meter());
  Value whole = scaled;
  if (scaled.is(Kind::kFloat)) {
    const double exact =
        method == "ceil" ? std::ceil(scaled.as_float()) : std::floor(scaled.as_float());
    if (!(std::fabs(exact) < 0x1p63))
      fail("rounding to an integer beyond 64 bits is not supported");
    whole = Value::integer(static_cast<int64_t>(exact));
  }
  return arithmetic(Op::kDiv, whole, scale, in.meter());
}

constexpr FilterEntry kFilters[] = {
    {"abs", absolute}, {"float", to_float}, {"int", to_int}, {"round", round}};

}  // namespace

const FilterEntry* find_number_filter(std::string_view name) {
  for (const FilterEntry& filter : kFilters)
    if (filter.name == name) return &filter;
  return nullptr;
}

}  // namespace sis::text::tmpl
