// The expression half of the Interpreter.
#include <cmath>

#include "infer/text/chat_template/filters.h"
#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/methods.h"
#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/python_text.h"
#include "infer/text/chat_template/slices.h"
#include "infer/text/chat_template/tests.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {

const Value& Interpreter::name(const Expr& expr, Frame& frame) {
  const Value& value = slot(expr.slot, frame);
  return value.is_undefined() && value.object() == nullptr ? expr.undefined : value;
}

const Value& Interpreter::peek(const Expr& expr, Frame& frame, Value& scratch) {
  if (expr.kind == ExprKind::kName) return name(expr, frame);
  if (expr.kind == ExprKind::kConst) return expr.value;
  return scratch = eval_compound(expr, frame);
}

Value Interpreter::eval(const Expr& expr, Frame& frame) {
  if (expr.kind == ExprKind::kName) return name(expr, frame);
  if (expr.kind == ExprKind::kConst) return expr.value;
  return eval_compound(expr, frame);
}

Value Interpreter::eval_compound(const Expr& expr, Frame& frame) {
  meter_.steps();
  check_stack();
  switch (expr.kind) {
    case ExprKind::kConst:
    case ExprKind::kName:
    case ExprKind::kNsRef:
      return eval(expr, frame);
    case ExprKind::kTuple:
    case ExprKind::kList: {
      Value::Items items;
      items.reserve(expr.children.size());
      for (const Expr* child : expr.children) items.push_back(eval(*child, frame));
      return expr.kind == ExprKind::kList ? make_list(std::move(items), meter_)
                                          : make_tuple(std::move(items), meter_);
    }
    case ExprKind::kDict: {
      Value::Entries entries;
      entries.reserve(expr.children.size() / 2);
      for (size_t i = 0; i < expr.children.size(); i += 2) {
        Value key = eval(*expr.children[i], frame);
        entries.emplace_back(std::move(key), eval(*expr.children[i + 1], frame));
      }
      return make_dict(std::move(entries), meter_);
    }
    case ExprKind::kSum:
      return eval_sum(expr, frame);
    case ExprKind::kBinary: {
      Value left_scratch, right_scratch;
      const Value& left = peek(*expr.children[0], frame, left_scratch);
      const Value& right = peek(*expr.children[1], frame, right_scratch);
      return arithmetic(expr.op, left, right, meter_);
    }
    case ExprKind::kUnary: {
      Value scratch;
      return negated(expr.op, peek(*expr.children[0], frame, scratch));
    }
    case ExprKind::kNot:
    case ExprKind::kCompare:
    case ExprKind::kTest:
      return Value::boolean(eval_truth(expr, frame));
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      const bool stop_at = expr.kind == ExprKind::kOr;
      for (size_t i = 0; i + 1 < expr.children.size(); ++i) {
        Value value = eval(*expr.children[i], frame);
        if (truthy(value, meter_) == stop_at) return value;
      }
      return eval(*expr.children.back(), frame);
    }
    case ExprKind::kConcat: {
      std::string text;
      for (const Expr* child : expr.children) {
        Value scratch;
        append_str(text, peek(*child, frame, scratch), meter_);
      }
      return make_string(std::move(text), meter_);
    }
    case ExprKind::kCond:
      if (eval_truth(*expr.children[0], frame)) return eval(*expr.children[1], frame);
      return expr.children[2] != nullptr ? eval(*expr.children[2], frame) : expr.undefined;
    case ExprKind::kGetattr:
      return eval_attribute(expr, frame);
    case ExprKind::kGetitem:
      return eval_item(expr, frame);
    case ExprKind::kSlice:
      return eval_slice(expr, frame);
    case ExprKind::kCall:
      return eval_call(expr, frame, nullptr);
    case ExprKind::kFilter:
      return eval_filter(expr, frame, nullptr);
  }
  return {};
}

bool Interpreter::eval_truth(const Expr& expr, Frame& frame) {
  switch (expr.kind) {
    case ExprKind::kNot:
      check_stack();
      return !eval_truth(*expr.children[0], frame);
    case ExprKind::kAnd:
      check_stack();
      for (const Expr* child : expr.children)
        if (!eval_truth(*child, frame)) return false;
      return true;
    case ExprKind::kOr:
      check_stack();
      for (const Expr* child : expr.children)
        if (eval_truth(*child, frame)) return true;
      return false;
    case ExprKind::kCompare:
      return eval_compare(expr, frame);
    case ExprKind::kTest:
      return eval_test(expr, frame);
    default: {
      Value scratch;
      return truthy(peek(expr, frame, scratch), meter_);
    }
  }
}

bool Interpreter::eval_compare(const Expr& expr, Frame& frame) {
  meter_.steps();
  check_stack();
  Value left_scratch, right_scratch;
  const Value* left = &peek(*expr.children[0], frame, left_scratch);
  for (size_t i = 0; i < expr.compares.size(); ++i) {
    const Value* right = &peek(*expr.children[i + 1], frame, right_scratch);
    if (!compare(expr.compares[i], *left, *right, meter_)) return false;
    if (right == &right_scratch) {
      left_scratch = std::move(right_scratch);
      left = &left_scratch;
    } else {
      left = right;
    }
  }
  return true;
}

// Text is gathered in one piece for as long as only text is added.
Value Interpreter::eval_sum(const Expr& expr, Frame& frame) {
  Value scratch;
  const Value& first = peek(*expr.children[0], frame, scratch);
  Value sum;
  size_t i = 1;
  if (first.is_string()) {
    std::string text(first.text());
    meter_.bytes(text.size());
    for (; i < expr.children.size(); ++i) {
      Value right_scratch;
      const Value& right = peek(*expr.children[i], frame, right_scratch);
      if (!right.is_string()) {
        sum = arithmetic(Op::kAdd, make_string(std::move(text), meter_), right, meter_);
        ++i;
        break;
      }
      meter_.bytes(right.text().size());
      text += right.text();
      if (text.size() > kStringBytesMax) fail_limit("a string is too long");
      if (i + 1 == expr.children.size()) return Value::string(std::move(text));
    }
  } else {
    sum = first;
  }
  for (; i < expr.children.size(); ++i) {
    Value right_scratch;
    sum = arithmetic(Op::kAdd, sum, peek(*expr.children[i], frame, right_scratch), meter_);
  }
  return sum;
}

// Prints without building a value first, where that is possible.
void Interpreter::print(const Expr& expr, Frame& frame) {
  switch (expr.kind) {
    case ExprKind::kConcat:
      check_stack();
      for (const Expr* child : expr.children) print(*child, frame);
      return;
    case ExprKind::kCond:
      check_stack();
      if (eval_truth(*expr.children[0], frame))
        print(*expr.children[1], frame);
      else if (expr.children[2] != nullptr)
        print(*expr.children[2], frame);
      return;
    case ExprKind::kSum: {
      check_stack();
      const size_t begin = out_.size();
      for (size_t i = 0; i < expr.children.size(); ++i) {
        Value scratch;
        const Value& part = peek(*expr.children[i], frame, scratch);
        if (part.is_string()) {
          meter_.bytes(part.text().size());
          out_ += part.text();
          continue;
        }
        // Not text after all: go on with values.
        Value sum = i == 0 ? part : arithmetic(Op::kAdd, take_output(begin), part, meter_);
        for (++i; i < expr.children.size(); ++i) {
          Value right;
          sum = arithmetic(Op::kAdd, sum, peek(*expr.children[i], frame, right), meter_);
        }
        append_str(out_, sum, meter_);
        return;
      }
      return;
    }
    default: {
      Value scratch;
      append_str(out_, peek(expr, frame, scratch), meter_);
    }
  }
}

Value Interpreter::eval_attribute(const Expr& expr, Frame& frame) {
  Value scratch;
  const Value& owner = peek(*expr.children[0], frame, scratch);
  if (owner.is(Kind::kDict) && !expr.dict_member) {
    const Value* found = owner.as_dict().find(expr.value.text());
    return found != nullptr ? *found : expr.undefined;
  }
  return get_attribute(owner, expr.value);
}

Value Interpreter::eval_item(const Expr& expr, Frame& frame) {
  Value owner_scratch, key_scratch;
  const Value& owner = peek(*expr.children[0], frame, owner_scratch);
  const Value& key = peek(*expr.children[1], frame, key_scratch);
  if (owner.is(Kind::kDict) && key.is_string())
    if (const Value* found = owner.as_dict().find(key.text())) return *found;
  return get_item(owner, key);
}

Value Interpreter::eval_slice(const Expr& expr, Frame& frame) {
  Value owner_scratch, bounds[3];
  const Value& owner = peek(*expr.children[0], frame, owner_scratch);
  for (size_t i = 0; i < 3; ++i)
    bounds[i] =
        expr.children[i + 1] != nullptr ? eval(*expr.children[i + 1], frame) : Value::none();
  return slice(owner, bounds[0], bounds[1], bounds[2], meter_);
}

void Interpreter::eval_arguments(const CallSyntax& syntax, Frame& frame, Arguments& arguments) {
  arguments.positional.reserve(syntax.positional.size());
  for (const Expr* argument : syntax.positional)
    arguments.positional.push_back(eval(*argument, frame));
  if (syntax.more_positional != nullptr)
    for (Value& value : iterate(eval(*syntax.more_positional, frame), meter_))
      arguments.positional.push_back(std::move(value));
  for (const auto& [name, argument] : syntax.named)
    arguments.named.emplace_back(name, eval(*argument, frame));
  if (syntax.more_named == nullptr) return;
  const Value more = eval(*syntax.more_named, frame);
  if (!more.is(Kind::kDict)) fail("argument after ** must be a mapping, not ", type_name(more));
  meter_.values(more.entries().size());
  for (const auto& [key, value] : more.entries()) {
    if (!key.is_string()) fail("keywords must be strings");
    if (arguments.find(key.text()) != nullptr)
      fail("got multiple values for keyword argument '", key.text(), "'");
    arguments.named.emplace_back(key, value);
  }
}

Value Interpreter::eval_call(const Expr& expr, Frame& frame, const Value* caller) {
  const Expr& callee = *expr.children[0];
  Value callee_scratch, owner_scratch;
  const Value* target = nullptr;
  const Value* owner = nullptr;
  MethodFunction method = nullptr;
  if (callee.kind == ExprKind::kGetattr) {
    // Calling a method at once needs no method object.
    owner = &peek(*callee.children[0], frame, owner_scratch);
    method = find_method(owner->kind(), callee.value.text());
    if (method == nullptr) callee_scratch = get_attribute(*owner, callee.value);
    target = &callee_scratch;
  } else {
    target = &peek(callee, frame, callee_scratch);
  }
  if (method == nullptr && target->is_undefined()) fail_undefined(*target);
  Arguments arguments;
  eval_arguments(*expr.call, frame, arguments);
  if (caller != nullptr) {
    if (arguments.find("caller") != nullptr)
      fail("got multiple values for keyword argument 'caller'");
    arguments.named.emplace_back(Value::string("caller"), *caller);
  }
  line_ = expr.line;
  if (method != nullptr) return method(*this, *owner, arguments);
  return call(*target, arguments);
}

Value Interpreter::call(const Value& callee, Arguments& arguments) {
  meter_.steps();
  switch (callee.kind()) {
    case Kind::kMacro: {
      const Value keep = callee;  // whoever holds it may let go meanwhile
      return call_macro(keep.as<MacroObject>(), arguments);
    }
    case Kind::kFunction:
      return callee.as<FunctionObject>().call(*this, arguments);
    case Kind::kMethod: {
      const Value keep = callee;
      return keep.as<MethodObject>().call(*this, keep.as<MethodObject>().self, arguments);
    }
    case Kind::kLoop: {
      const Value keep = callee;
      const auto& loop = keep.as<LoopObject>();
      if (loop.recursive == nullptr)
        fail("the loop must have the 'recursive' marker to be called recursively");
      const auto [items] = bind("loop", arguments, {"iterable"}, 1);
      return run_recursive(*loop.recursive, *items, *loop.outer, loop.depth0 + 1);
    }
    case Kind::kJoiner: {
      bind_none("joiner", arguments);
      auto& joiner = callee.as<JoinerObject>();
      if (joiner.used) return joiner.separator;
      joiner.used = true;
      return Value::string("");
    }
    default:
      want_defined(callee);
      fail("'", type_name(callee), "' object is not callable");
  }
}

Value Interpreter::eval_filter(const Expr& expr, Frame& frame, const Value* captured) {
  Value scratch;
  const Expr* from = expr.children[0];
  const Value* subject = captured;
  if (from != nullptr) {
    if (captured != nullptr && from->kind == ExprKind::kFilter) {
      check_stack();
      scratch = eval_filter(*from, frame, captured);
      subject = &scratch;
    } else {
      subject = &peek(*from, frame, scratch);
    }
  }
  if (expr.filter == nullptr) fail("no filter named '", expr.value.text(), "' found");
  Arguments arguments;
  eval_arguments(*expr.call, frame, arguments);
  line_ = expr.line;
  return expr.filter->call(*this, *subject, arguments);
}

bool Interpreter::eval_test(const Expr& expr, Frame& frame) {
  meter_.steps();
  Value scratch;
  const Value& subject = peek(*expr.children[0], frame, scratch);
  if (expr.test == nullptr) fail("no test named '", expr.value.text(), "' found");
  Arguments arguments;
  eval_arguments(*expr.call, frame, arguments);
  return expr.test->call(*this, subject, arguments);
}

Value Interpreter::call_filter(const Value& name, const Value& subject, Arguments& arguments) {
  const FilterEntry* filter = name.is_string() ? find_filter(name.text()) : nullptr;
  if (filter == nullptr) {
    if (name.is_string() && is_unsupported_filter(name.text()))
      fail("the filter '", name.text(), "' is not supported");
    fail("no filter named ", to_repr(name));
  }
  meter_.steps();
  return filter->call(*this, subject, arguments);
}

bool Interpreter::call_test(const Value& name, const Value& subject, Arguments& arguments) {
  const TestEntry* test = name.is_string() ? find_test(name.text()) : nullptr;
  if (test == nullptr) fail("no test named ", to_repr(name));
  meter_.steps();
  return test->call(*this, subject, arguments);
}

}  // namespace sis::text::tmpl
