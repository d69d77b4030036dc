#include "infer/text/chat_template/operators.h"

#include <cmath>
#include <cstring>

#include "infer/text/chat_template/percent_format.h"
#include "infer/text/chat_template/runtime_objects.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

constexpr std::string_view kOpNames[] = {"+", "-", "*", "/", "//", "%", "**", "-", "+"};

bool is_set_like(const Value& value) {
  return value.is(Kind::kView) && value.as<ViewObject>().part != ViewObject::kValues;
}

[[noreturn]] void unsupported(Op op, const Value& a, const Value& b) {
  want_defined(a);
  want_defined(b);
  if (a.is(Kind::kBigInt) || b.is(Kind::kBigInt))
    fail("computing with integers beyond 64 bits is not supported");
  if (op == Op::kSub && (is_set_like(a) || is_set_like(b)))
    fail("sets, which dictionary keys and items make when subtracted, are not supported");
  fail("unsupported operand type(s) for ", kOpNames[static_cast<size_t>(op)], ": '", type_name(a),
       "' and '", type_name(b), "'");
}

[[noreturn]] void overflow() { fail("the result is beyond 64 bits, which is not supported"); }

Value integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent != 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) overflow();
    exponent >>= 1;
    if (exponent != 0 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return Value::integer(result);
}

int64_t floor_div(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Value integers(Op op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &result)) overflow();
      return Value::integer(result);
    case Op::kSub:
      if (__builtin_sub_overflow(a, b, &result)) overflow();
      return Value::integer(result);
    case Op::kMul:
      if (__builtin_mul_overflow(a, b, &result)) overflow();
      return Value::integer(result);
    case Op::kDiv:
      if (b == 0) fail("division by zero");
      return Value::real(static_cast<double>(a) / static_cast<double>(b));
    case Op::kFloorDiv:
    case Op::kMod:
      if (b == 0) fail("integer division or modulo by zero");
      if (b == -1) {
        if (op == Op::kMod) return Value::integer(0);
        if (a == INT64_MIN) overflow();
        return Value::integer(-a);
      }
      result = floor_div(a, b);
      return Value::integer(op == Op::kMod ? a - result * b : result);
    case Op::kPow:
      return integer_power(a, b);
    case Op::kNeg:
    case Op::kPos:
      break;
  }
  return {};
}

Value floats(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd:
      return Value::real(a + b);
    case Op::kSub:
      return Value::real(a - b);
    case Op::kMul:
      return Value::real(a * b);
    case Op::kDiv:
      if (b == 0) fail("float division by zero");
      return Value::real(a / b);
    case Op::kFloorDiv:
    case Op::kMod: {
      if (b == 0) fail("float floor division or modulo by zero");
      double rest = std::fmod(a, b);
      double quotient = (a - rest) / b;
      if (rest != 0) {
        if ((b < 0) != (rest < 0)) {
          rest += b;
          quotient -= 1;
        }
      } else {
        rest = std::copysign(0.0, b);
      }
      if (op == Op::kMod) return Value::real(rest);
      if (quotient == 0) return Value::real(std::copysign(0.0, a / b));
      const double floor = std::floor(quotient);
      return Value::real(quotient - floor > 0.5 ? floor + 1 : floor);
    }
    case Op::kPow: {
      if (a == 0 && b < 0) fail("0.0 cannot be raised to a negative power");
      if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b))
        fail("a negative number to a fractional power is complex, which is not supported");
      const double result = std::pow(a, b);
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
        fail("the result of ** is too large");
      return Value::real(result);
    }
    case Op::kNeg:
    case Op::kPos:
      break;
  }
  return {};
}

Value repeated(const Value& sequence, int64_t times, Meter& meter) {
  const auto count = static_cast<uint64_t>(std::max<int64_t>(times, 0));
  if (sequence.is_string()) {
    const std::string_view text = sequence.text();
    if (!text.empty() && count > kStringBytesMax / text.size())
      fail_limit("a repeated string is too long");
    std::string out;
    meter.bytes(text.size() * count);
    out.reserve(text.size() * count);
    for (uint64_t i = 0; i < count && !text.empty(); ++i) out += text;
    return Value::string(std::move(out));
  }
  const Value::Items& items = sequence.items();
  if (!items.empty() && count > kStringBytesMax / items.size())
    fail_limit("a repeated list is too long");
  meter.values(items.size() * count);
  Value::Items out;
  out.reserve(items.size() * count);
  for (uint64_t i = 0; i < count && !items.empty(); ++i)
    out.insert(out.end(), items.begin(), items.end());
  return sequence.is(Kind::kList) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

bool sequences_equal(const Value::Items& a, const Value::Items& b, Meter& meter) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!equals(a[i], b[i], meter)) return false;
  return true;
}

// Keys compare as sets, and so do the pairs.
bool views_equal(const ViewObject& a, const ViewObject& b, Meter& meter) {
  if (&a == &b) return true;
  if (a.part != b.part || a.part == ViewObject::kValues) return false;
  if (a.dict.entries().size() != b.dict.entries().size()) return false;
  for (const auto& [key, value] : a.dict.entries()) {
    const Value* other = b.dict.as_dict().find(key);
    if (other == nullptr) return false;
    if (a.part == ViewObject::kItems && !equals(value, *other, meter)) return false;
  }
  return true;
}

Value pair(const Value& a, const Value& b) { return Value::tuple({a, b}); }

}  // namespace

void fail_undefined(const Value& undefined) { throw Fault{undefined_message(undefined)}; }

void check_depth(const Value& value) {
  if (value.depth() > kValueDepthMax)
    fail_limit(concat("a value is nested deeper than ", kValueDepthMax, " levels"));
}

Value make_string(std::string text, Meter& meter) {
  if (text.size() > kStringBytesMax) fail_limit("a string is too long");
  meter.bytes(text.size());
  return Value::string(std::move(text));
}

Value make_list(Value::Items items, Meter& meter) {
  meter.values(items.size());
  Value list = Value::list(std::move(items));
  check_depth(list);
  return list;
}

Value make_tuple(Value::Items items, Meter& meter) {
  meter.values(items.size());
  Value tuple = Value::tuple(std::move(items));
  check_depth(tuple);
  return tuple;
}

Value make_dict(Value::Entries entries, Meter& meter) {
  meter.values(2 * entries.size());
  for (const auto& [key, value] : entries)
    if (!is_hashable(key)) fail("unhashable type: '", type_name(key), "'");
  Value dict = Value::dict(std::move(entries));
  check_depth(dict);
  return dict;
}

bool truthy(const Value& value, Meter& meter) {
  switch (value.kind()) {
    case Kind::kNone:
    case Kind::kUndefined:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_float() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.items().empty();
    case Kind::kDict:
      return !value.entries().empty();
    case Kind::kView:
    case Kind::kRange:
      return length(value) != 0;
    case Kind::kLoop:
      meter.steps();
      return length(value) != 0;
    default:
      return true;
  }
}

bool equals(const Value& a, const Value& b, Meter& meter) {
  meter.steps();
  if (a.is_number() && b.is_number()) {
    if (std::isnan(a.number()) || std::isnan(b.number())) return false;
    return compare_numbers(a, b) == 0;
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kNone:
    case Kind::kUndefined:
      return true;
    case Kind::kString:
    case Kind::kBigInt:
      meter.steps(a.text().size() / 64);
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return a.same_object(b) || sequences_equal(a.items(), b.items(), meter);
    case Kind::kDict: {
      if (a.same_object(b)) return true;
      if (a.entries().size() != b.entries().size()) return false;
      for (const auto& [key, value] : a.entries()) {
        const Value* other = b.as_dict().find(key);
        if (other == nullptr || !equals(value, *other, meter)) return false;
      }
      return true;
    }
    case Kind::kRange: {
      const auto &x = a.as<RangeObject>(), &y = b.as<RangeObject>();
      if (x.size() != y.size()) return false;
      return x.size() == 0 || (x.start == y.start && (x.size() == 1 || x.step == y.step));
    }
    case Kind::kView:
      return views_equal(a.as<ViewObject>(), b.as<ViewObject>(), meter);
    case Kind::kMethod:
      return a.as<MethodObject>().call == b.as<MethodObject>().call &&
             a.as<MethodObject>().self.same_object(b.as<MethodObject>().self);
    default:
      return a.same_object(b);
  }
}

bool compare(CompareOp op, const Value& a, const Value& b, Meter& meter) {
  switch (op) {
    case CompareOp::kEq:
      return equals(a, b, meter);
    case CompareOp::kNe:
      return !equals(a, b, meter);
    case CompareOp::kIn:
      return contains(b, a, meter);
    case CompareOp::kNotIn:
      return !contains(b, a, meter);
    default:
      break;
  }
  meter.steps();
  const auto holds = [op](int way) {
    return op == CompareOp::kLt   ? way < 0
           : op == CompareOp::kLe ? way <= 0
           : op == CompareOp::kGt ? way > 0
                                  : way >= 0;
  };
  if (a.is_number() && b.is_number()) {
    if (std::isnan(a.number()) || std::isnan(b.number())) return false;
    return holds(compare_numbers(a, b));
  }
  if (a.is_string() && b.is_string()) {
    meter.steps(std::min(a.text().size(), b.text().size()) / 64);
    return holds(a.text().compare(b.text()));
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    const Value::Items &x = a.items(), &y = b.items();
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i)
      if (!equals(x[i], y[i], meter)) return compare(op, x[i], y[i], meter);
    return holds(x.size() < y.size() ? -1 : x.size() > y.size());
  }
  want_defined(a);
  want_defined(b);
  if (a.is(Kind::kBigInt) || b.is(Kind::kBigInt))
    fail("comparing integers beyond 64 bits is not supported");
  if (a.is(Kind::kView) && b.is(Kind::kView))
    fail("comparing the keys or items of dictionaries by size is not supported");
  constexpr std::string_view kNames[] = {"==", "!=", "<", "<=", ">", ">="};
  fail("'", kNames[static_cast<size_t>(op)], "' not supported between instances of '", type_name(a),
       "' and '", type_name(b), "'");
}

bool less(const Value& a, const Value& b, Meter& meter) {
  return compare(CompareOp::kLt, a, b, meter);
}

bool contains(const Value& container, const Value& item, Meter& meter) {
  const auto is = [&](const Value& candidate) {
    return (candidate.same_object(item) && !item.is(Kind::kFloat)) ||
           equals(candidate, item, meter);
  };
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is_string())
        fail("'in <string>' requires string as left operand, not ", type_name(item));
      meter.steps(1 + container.text().size() / 64);
      return find_text(container.text(), item.text()) != std::string_view::npos;
    case Kind::kList:
    case Kind::kTuple:
      for (const Value& candidate : container.items())
        if (is(candidate)) return true;
      return false;
    case Kind::kDict:
      if (!is_hashable(item)) fail("unhashable type: '", type_name(item), "'");
      meter.steps();
      return container.as_dict().find(item) != nullptr;
    case Kind::kNone:
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
    case Kind::kBigInt:
    case Kind::kNamespace:
    case Kind::kMacro:
    case Kind::kFunction:
    case Kind::kMethod:
    case Kind::kCycler:
    case Kind::kJoiner:
      fail("argument of type '", type_name(container), "' is not iterable");
    case Kind::kRange:
      if (item.is_integral()) {
        const auto& range = container.as<RangeObject>();
        if (range.size() == 0) return false;
        const int64_t at = item.as_int(), last = range.start + (range.size() - 1) * range.step;
        if (at < std::min(range.start, last) || at > std::max(range.start, last)) return false;
        return (at - range.start) % range.step == 0;
      }
      break;
    case Kind::kIterator:
      for (Value candidate; container.as<IteratorObject>().next(candidate);)
        if (is(candidate)) return true;
      return false;
    default:
      break;
  }
  for (const Value& candidate : iterate(container, meter))
    if (is(candidate)) return true;
  return false;
}

Value arithmetic(Op op, const Value& a, const Value& b, Meter& meter) {
  meter.steps();
  // An undefined value fails before text formatting or repetition is tried, except on the right of
  // a format string.
  if (a.is_undefined()) fail_undefined(a);
  if (op == Op::kMod && a.is_string()) return percent_format(a.text(), b, meter);
  if (b.is_undefined()) fail_undefined(b);
  if (a.is_integral() && b.is_integral()) return integers(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return floats(op, a.number(), b.number());
  if (op == Op::kAdd) {
    if (a.is_string() && b.is_string()) {
      std::string out;
      out.reserve(a.text().size() + b.text().size());
      out.append(a.text()).append(b.text());
      return make_string(std::move(out), meter);
    }
    if (a.is_sequence() && a.kind() == b.kind()) {
      meter.values(a.items().size() + b.items().size());
      Value::Items out;
      out.reserve(a.items().size() + b.items().size());
      out.insert(out.end(), a.items().begin(), a.items().end());
      out.insert(out.end(), b.items().begin(), b.items().end());
      return a.is(Kind::kList) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
    }
  }
  if (op == Op::kMul) {
    if ((a.is_string() || a.is_sequence()) && b.is_integral())
      return repeated(a, b.as_int(), meter);
    if ((b.is_string() || b.is_sequence()) && a.is_integral())
      return repeated(b, a.as_int(), meter);
  }
  unsupported(op, a, b);
}

Value negated(Op op, const Value& a) {
  if (a.is_integral()) {
    if (op == Op::kNeg && a.as_int() == INT64_MIN) overflow();
    return Value::integer(op == Op::kNeg ? -a.as_int() : a.as_int());
  }
  if (a.is(Kind::kFloat)) return Value::real(op == Op::kNeg ? -a.as_float() : a.as_float());
  want_defined(a);
  if (a.is(Kind::kBigInt)) fail("computing with integers beyond 64 bits is not supported");
  fail("bad operand type for unary ", kOpNames[static_cast<size_t>(op)], ": '", type_name(a), "'");
}

bool has_length(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_sequence() ||
         value.is(Kind::kDict) || value.is(Kind::kView) || value.is(Kind::kRange) ||
         value.is(Kind::kLoop);
}

int64_t length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(count_chars(value.text()));
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(value.items().size());
    case Kind::kDict:
      return static_cast<int64_t>(value.entries().size());
    case Kind::kView:
      return static_cast<int64_t>(value.as<ViewObject>().dict.entries().size());
    case Kind::kRange:
      return value.as<RangeObject>().size();
    case Kind::kLoop:
      return value.as<LoopObject>().length();
    default:
      fail("object of type '", type_name(value), "' has no len()");
  }
}

bool is_iterable(const Value& value) { return has_length(value) || value.is(Kind::kIterator); }

Value::Items iterate(const Value& value, Meter& meter) {
  Value::Items items;
  switch (value.kind()) {
    case Kind::kUndefined:
      break;
    case Kind::kString:
      meter.values(value.text().size());
      for (std::string_view c : split_chars(value.text()))
        items.push_back(Value::string(std::string(c)));
      break;
    case Kind::kList:
    case Kind::kTuple:
      meter.values(value.items().size());
      items = value.items();
      break;
    case Kind::kDict:
      meter.values(value.entries().size());
      items.reserve(value.entries().size());
      for (const auto& [key, item] : value.entries()) items.push_back(key);
      break;
    case Kind::kView: {
      const auto& view = value.as<ViewObject>();
      meter.values(3 * view.dict.entries().size());
      items.reserve(view.dict.entries().size());
      for (const auto& [key, item] : view.dict.entries())
        items.push_back(view.part == ViewObject::kKeys     ? key
                        : view.part == ViewObject::kValues ? item
                                                           : pair(key, item));
      break;
    }
    case Kind::kRange: {
      const auto& range = value.as<RangeObject>();
      meter.values(static_cast<uint64_t>(range.size()));
      for (int64_t i = 0; i < range.size(); ++i) items.push_back(range.at(i));
      break;
    }
    case Kind::kIterator:
      for (Value item; value.as<IteratorObject>().next(item);) {
        meter.values(1);
        items.push_back(std::move(item));
      }
      break;
    case Kind::kLoop:
      fail("going through `loop` itself is not supported");
    default:
      fail("'", type_name(value), "' object is not iterable");
  }
  return items;
}

}  // namespace sis::text::tmpl
