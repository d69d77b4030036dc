#include "infer/text/chat_template/tests.h"

#include "infer/text/chat_template/filters.h"
#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/methods.h"
#include "infer/text/chat_template/operators.h"

namespace sis::text::tmpl {
namespace {

// A test that looks at its subject only.
template <bool (*kHolds)(const Value&)>
bool plain(Interpreter&, const Value& subject, Arguments& arguments) {
  bind_none("test", arguments);
  return kHolds(subject);
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_not_defined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is(Kind::kNone); }
bool is_boolean(const Value& v) { return v.is(Kind::kBool); }
bool is_false(const Value& v) { return v.is(Kind::kBool) && !v.as_bool(); }
bool is_true(const Value& v) { return v.is(Kind::kBool) && v.as_bool(); }
bool is_integer(const Value& v) { return v.is(Kind::kInt) || v.is(Kind::kBigInt); }
bool is_float(const Value& v) { return v.is(Kind::kFloat); }
bool is_number(const Value& v) { return v.is_number() || v.is(Kind::kBigInt); }
bool is_text(const Value& v) { return v.is_string(); }
bool is_mapping(const Value& v) { return v.is(Kind::kDict); }
bool is_sequence(const Value& v) {
  return v.is_undefined() || v.is_string() || v.is_sequence() || v.is(Kind::kDict) ||
         v.is(Kind::kRange);
}
bool can_iterate(const Value& v) { return is_iterable(v); }
bool is_callable(const Value& v) {
  return v.is_undefined() || v.is(Kind::kMacro) || v.is(Kind::kFunction) || v.is(Kind::kMethod) ||
         v.is(Kind::kJoiner) || v.is(Kind::kLoop);
}
bool is_escaped(const Value&) { return false; }

template <int kRemainder>
bool parity(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("test", arguments);
  const Value rest = arithmetic(Op::kMod, subject, Value::integer(2), in.meter());
  return equals(rest, Value::integer(kRemainder), in.meter());
}

bool divisible(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [by] = bind("divisibleby", arguments, {"num"}, 1);
  return equals(arithmetic(Op::kMod, subject, *by, in.meter()), Value::integer(0), in.meter());
}

template <char kCase>
bool has_case(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("test", arguments);
  Arguments none;
  return find_string_method(kCase == 'l' ? "islower" : "isupper")(
             in, Value::string(in.str(subject)), none)
      .as_bool();
}

template <CompareOp kOp>
bool compares(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [other] = bind_plain<1>("test", arguments, 1);
  return compare(kOp, subject, *other, in.meter());
}

bool is_in(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [container] = bind("in", arguments, {"seq"}, 1);
  return contains(*container, subject, in.meter());
}

bool is_same(Interpreter&, const Value& subject, Arguments& arguments) {
  const auto [other] = bind("sameas", arguments, {"other"}, 1);
  if (subject.kind() != other->kind()) return false;
  if (subject.is_undefined()) return subject.object() != nullptr && subject.same_object(*other);
  // Text is shared in ways that Python's is not.
  if (subject.is_string()) return subject.text() == other->text();
  return subject.is(Kind::kNone) || subject.same_object(*other);
}

void want_hashable(const Value& name) {
  if (!is_hashable(name)) fail("unhashable type: '", type_name(name), "'");
}

bool is_filter(Interpreter&, const Value& subject, Arguments& arguments) {
  bind_none("filter", arguments);
  want_hashable(subject);
  return subject.is_string() && find_filter(subject.text()) != nullptr;
}

bool is_test(Interpreter&, const Value& subject, Arguments& arguments) {
  bind_none("test", arguments);
  want_hashable(subject);
  return subject.is_string() && find_test(subject.text()) != nullptr;
}

constexpr TestEntry kTests[] = {
    {"defined", plain<is_defined>},
    {"none", plain<is_none>},
    {"string", plain<is_text>},
    {"mapping", plain<is_mapping>},
    {"sequence", plain<is_sequence>},
    {"iterable", plain<can_iterate>},
    {"undefined", plain<is_not_defined>},
    {"true", plain<is_true>},
    {"false", plain<is_false>},
    {"boolean", plain<is_boolean>},
    {"integer", plain<is_integer>},
    {"float", plain<is_float>},
    {"number", plain<is_number>},
    {"callable", plain<is_callable>},
    {"escaped", plain<is_escaped>},
    {"odd", parity<1>},
    {"even", parity<0>},
    {"divisibleby", divisible},
    {"lower", has_case<'l'>},
    {"upper", has_case<'u'>},
    {"sameas", is_same},
    {"in", is_in},
    {"filter", is_filter},
    {"test", is_test},
    {"==", compares<CompareOp::kEq>},
    {"eq", compares<CompareOp::kEq>},
    {"equalto", compares<CompareOp::kEq>},
    {"!=", compares<CompareOp::kNe>},
    {"ne", compares<CompareOp::kNe>},
    {">", compares<CompareOp::kGt>},
    {"gt", compares<CompareOp::kGt>},
    {"greaterthan", compares<CompareOp::kGt>},
    {">=", compares<CompareOp::kGe>},
    {"ge", compares<CompareOp::kGe>},
    {"<", compares<CompareOp::kLt>},
    {"lt", compares<CompareOp::kLt>},
    {"lessthan", compares<CompareOp::kLt>},
    {"<=", compares<CompareOp::kLe>},
    {"le", compares<CompareOp::kLe>},
};

}  // namespace

const TestEntry* find_test(std::string_view name) {
  for (const TestEntry& test : kTests)
    if (test.name == name) return &test;
  return nullptr;
}

}  // namespace sis::text::tmpl
