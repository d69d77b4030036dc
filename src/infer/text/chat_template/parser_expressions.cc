#include "infer/text/chat_template/parser_expressions.h"

#include <algorithm>

namespace sis::text::tmpl {
namespace {

constexpr int kNestingMax = 80;       // of brackets, prefixes and statements in one another
constexpr uint16_t kHeightMax = 160;  // of one expression's tree

bool is_literal_name(std::string_view name) {
  return name == "true" || name == "false" || name == "none" || name == "True" || name == "False" ||
         name == "None";
}

}  // namespace

ExpressionParser::Level::Level(ExpressionParser& parser) : parser_(parser) {
  if (++parser_.nesting_ > kNestingMax)
    parser_.cursor_.fail_here(concat("nested deeper than ", kNestingMax, " levels"));
}

Expr* ExpressionParser::name_target() {
  if (cursor_.now().type != TokenType::kName) cursor_.unexpected("a name");
  const Token& token = cursor_.next();
  if (is_literal_name(token.text)) cursor_.fail_here(concat("can't assign to '", token.text, "'"));
  return make_name(token, true);
}

Expr* ExpressionParser::assign_target(TupleRules rules) {
  rules.simplified = true;
  Expr* target = tuple_or_expression(rules);
  store(target);
  return target;
}

void ExpressionParser::store(Expr* target) {
  if (target->kind == ExprKind::kTuple) {
    for (Expr* child : target->children) store(child);
  } else if (target->kind == ExprKind::kName) {
    target->stores = true;
  } else if (target->kind != ExprKind::kNsRef) {
    cursor_.fail_here("can't assign to an expression");
  }
}

Expr* ExpressionParser::tuple_or_expression(TupleRules rules) {
  const Level level(*this);
  const uint32_t line = cursor_.now().line;
  std::vector<Expr*> items;
  bool is_tuple = false;
  for (;;) {
    if (!items.empty()) cursor_.expect(",");
    const Token& token = cursor_.now();
    if (token.type == TokenType::kVariableEnd || token.type == TokenType::kBlockEnd ||
        token.is(")") || (!rules.stop_at.empty() && token.is_name(rules.stop_at)))
      break;
    items.push_back(rules.simplified ? primary(rules.with_namespace) : expression(rules.with_cond));
    if (!cursor_.now().is(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return items[0];
    if (!rules.parenthesised) cursor_.unexpected("an expression");
  }
  return make(ExprKind::kTuple, line, std::move(items));
}

Expr* ExpressionParser::expression(bool with_cond) {
  const Level level(*this);
  return with_cond ? conditional() : or_expression();
}

Expr* ExpressionParser::conditional() {
  Expr* then = or_expression();
  while (cursor_.now().is_name("if")) {
    const uint32_t line = cursor_.next().line;
    Expr* test = or_expression();
    Expr* otherwise = nullptr;
    if (cursor_.skip_name("else")) {
      const Level level(*this);
      otherwise = conditional();
    }
    then = make(ExprKind::kCond, line, {test, then, otherwise});
    if (otherwise == nullptr)
      then->undefined =
          undefined_hint(concat("the inline if-expression on line ", line,
                                " evaluated to false and no else section was defined."));
  }
  return then;
}

Expr* ExpressionParser::or_expression() {
  Expr* left = and_expression();
  while (cursor_.now().is_name("or")) {
    const uint32_t line = cursor_.next().line;
    append(left, ExprKind::kOr, line, and_expression());
  }
  return left;
}

Expr* ExpressionParser::and_expression() {
  Expr* left = not_expression();
  while (cursor_.now().is_name("and")) {
    const uint32_t line = cursor_.next().line;
    append(left, ExprKind::kAnd, line, not_expression());
  }
  return left;
}

// Chains of one associative operator are one node.
void ExpressionParser::append(Expr*& left, ExprKind kind, uint32_t line, Expr* right) {
  if (left->kind == kind) {
    left->children.push_back(right);
    grow(*left, right);
  } else {
    left = make(kind, line, {left, right});
  }
}

Expr* ExpressionParser::not_expression() {
  if (!cursor_.now().is_name("not")) return comparison();
  const Level level(*this);
  const uint32_t line = cursor_.next().line;
  Expr* operand = not_expression();
  return make(ExprKind::kNot, line, {operand});
}

Expr* ExpressionParser::comparison() {
  const uint32_t line = cursor_.now().line;
  Expr* first = sum();
  std::vector<Expr*> operands{first};
  std::vector<CompareOp> ops;
  for (;;) {
    if (const auto op = comparison_operator()) {
      ops.push_back(*op);
      operands.push_back(sum());
    } else {
      break;
    }
  }
  if (ops.empty()) return first;
  Expr* expr = make(ExprKind::kCompare, line, std::move(operands));
  expr->compares = std::move(ops);
  return expr;
}

std::optional<CompareOp> ExpressionParser::comparison_operator() {
  static constexpr std::pair<std::string_view, CompareOp> kOps[] = {
      {"==", CompareOp::kEq}, {"!=", CompareOp::kNe}, {"<", CompareOp::kLt},
      {"<=", CompareOp::kLe}, {">", CompareOp::kGt},  {">=", CompareOp::kGe}};
  for (const auto& [text, op] : kOps)
    if (cursor_.skip_if(text)) return op;
  if (cursor_.skip_name("in")) return CompareOp::kIn;
  if (cursor_.now().is_name("not") && cursor_.look().is_name("in")) {
    cursor_.next();
    cursor_.next();
    return CompareOp::kNotIn;
  }
  return std::nullopt;
}

Expr* ExpressionParser::sum() {
  Expr* left = concatenation();
  bool chained = false;  // `left` is a sum made here, not one in parentheses
  while (cursor_.now().is("+") || cursor_.now().is("-")) {
    const Token& token = cursor_.next();
    const bool adds = token.text == "+";
    const uint32_t line = token.line;
    Expr* right = concatenation();
    if (adds && chained) {
      left->children.push_back(right);
      grow(*left, right);
    } else {
      left = make(adds ? ExprKind::kSum : ExprKind::kBinary, line, {left, right});
      left->op = adds ? Op::kAdd : Op::kSub;
    }
    chained = adds;
  }
  return left;
}

Expr* ExpressionParser::concatenation() {
  const uint32_t line = cursor_.now().line;
  std::vector<Expr*> parts{product()};
  while (cursor_.skip_if("~")) parts.push_back(product());
  return parts.size() == 1 ? parts[0] : make(ExprKind::kConcat, line, std::move(parts));
}

Expr* ExpressionParser::product() {
  static constexpr std::pair<std::string_view, Op> kOps[] = {
      {"*", Op::kMul}, {"/", Op::kDiv}, {"//", Op::kFloorDiv}, {"%", Op::kMod}};
  Expr* left = power();
  for (bool more = true; more;) {
    more = false;
    for (const auto& [text, op] : kOps) {
      if (!cursor_.now().is(text)) continue;
      const uint32_t line = cursor_.next().line;
      left = make(ExprKind::kBinary, line, {left, power()});
      left->op = op;
      more = true;
      break;
    }
  }
  return left;
}

Expr* ExpressionParser::power() {
  Expr* left = unary();
  while (cursor_.now().is("**")) {
    const uint32_t line = cursor_.next().line;
    left = make(ExprKind::kBinary, line, {left, unary()});
    left->op = Op::kPow;
  }
  return left;
}

Expr* ExpressionParser::unary(bool with_filter) {
  const Level level(*this);
  Expr* expr = nullptr;
  if (cursor_.now().is("-") || cursor_.now().is("+")) {
    const Token& token = cursor_.next();
    const Op op = token.text == "-" ? Op::kNeg : Op::kPos;
    const uint32_t line = token.line;
    expr = make(ExprKind::kUnary, line, {unary(false)});
    expr->op = op;
  } else {
    expr = primary(false);
  }
  expr = postfix(expr);
  return with_filter ? filters_and_tests(expr) : expr;
}

Expr* ExpressionParser::primary(bool with_namespace) {
  const Token& token = cursor_.now();
  const uint32_t line = token.line;
  switch (token.type) {
    case TokenType::kName: {
      cursor_.next();
      if (token.text == "true" || token.text == "True")
        return make(ExprKind::kConst, line, {}, Value::boolean(true));
      if (token.text == "false" || token.text == "False")
        return make(ExprKind::kConst, line, {}, Value::boolean(false));
      if (token.text == "none" || token.text == "None")
        return make(ExprKind::kConst, line, {}, Value::none());
      if (with_namespace && cursor_.skip_if(".")) {
        if (cursor_.now().type != TokenType::kName) cursor_.unexpected("a name");
        Expr* owner = make_name(token, false);
        return make(ExprKind::kNsRef, line, {owner}, Value::string(cursor_.next().text));
      }
      return make_name(token, false);
    }
    case TokenType::kString: {
      std::string text;
      while (cursor_.now().type == TokenType::kString) text += cursor_.next().text;
      return make(ExprKind::kConst, line, {}, Value::string(std::move(text)));
    }
    case TokenType::kInteger:
    case TokenType::kFloat:
      cursor_.next();
      return make(ExprKind::kConst, line, {}, token.number);
    default:
      break;
  }
  if (cursor_.skip_if("(")) {
    Expr* expr = tuple_or_expression({.parenthesised = true});
    cursor_.expect(")");
    return expr;
  }
  if (cursor_.skip_if("[")) return list(line);
  if (cursor_.skip_if("{")) return dict(line);
  cursor_.unexpected("an expression");
}

Expr* ExpressionParser::list(uint32_t line) {
  std::vector<Expr*> items;
  while (!cursor_.now().is("]")) {
    if (!items.empty()) cursor_.expect(",");
    if (cursor_.now().is("]")) break;
    items.push_back(expression());
  }
  cursor_.expect("]");
  return make(ExprKind::kList, line, std::move(items));
}

Expr* ExpressionParser::dict(uint32_t line) {
  std::vector<Expr*> items;
  while (!cursor_.now().is("}")) {
    if (!items.empty()) cursor_.expect(",");
    if (cursor_.now().is("}")) break;
    items.push_back(expression());
    cursor_.expect(":");
    items.push_back(expression());
  }
  cursor_.expect("}");
  return make(ExprKind::kDict, line, std::move(items));
}

Expr* ExpressionParser::postfix(Expr* expr) {
  for (;;) {
    if (cursor_.now().is(".") || cursor_.now().is("["))
      expr = subscript(expr);
    else if (cursor_.now().is("("))
      expr = call(expr);
    else
      return expr;
  }
}

Expr* ExpressionParser::filters_and_tests(Expr* expr) {
  for (;;) {
    if (cursor_.now().is("|"))
      expr = filters(expr);
    else if (cursor_.now().is_name("is"))
      expr = test(expr);
    else if (cursor_.now().is("("))
      expr = call(expr);
    else
      return expr;
  }
}

Expr* ExpressionParser::subscript(Expr* owner) {
  const Token& token = cursor_.next();
  const uint32_t line = token.line;
  if (token.text == ".") {
    const Token& name = cursor_.next();
    if (name.type == TokenType::kName) {
      Expr* expr = make(ExprKind::kGetattr, line, {owner}, Value::string(name.text));
      expr->undefined = undefined_member(Value::dict({}), expr->value);
      return expr;
    }
    if (name.type != TokenType::kInteger) cursor_.fail_here("expected name or number");
    return make(ExprKind::kGetitem, line, {owner, make(ExprKind::kConst, line, {}, name.number)});
  }
  std::vector<Expr*> keys;
  Expr* slice = nullptr;
  while (!cursor_.now().is("]")) {
    if (!keys.empty() || slice != nullptr) cursor_.expect(",");
    if (slice != nullptr) cursor_.fail_here("several slices in one subscript");
    Expr* start = cursor_.now().is(":") ? nullptr : expression();
    if (cursor_.skip_if(":")) {
      const auto bound = [&]() -> Expr* {
        return cursor_.now().is(":") || cursor_.now().is("]") || cursor_.now().is(",")
                   ? nullptr
                   : expression();
      };
      Expr* stop = bound();
      Expr* step = cursor_.skip_if(":") ? bound() : nullptr;
      slice = make(ExprKind::kSlice, line, {owner, start, stop, step});
      if (!keys.empty()) cursor_.fail_here("a slice among other keys");
    } else {
      keys.push_back(start);
    }
  }
  cursor_.expect("]");
  if (slice != nullptr) return slice;
  Expr* key = keys.size() == 1 ? keys[0] : make(ExprKind::kTuple, line, std::move(keys));
  Expr* expr = make(ExprKind::kGetitem, line, {owner, key});
  if (key->kind == ExprKind::kConst && key->value.is_string())
    expr->undefined = undefined_member(Value::dict({}), key->value);
  return expr;
}

void ExpressionParser::arguments(Expr& expr) {
  cursor_.expect("(");
  expr.call = std::make_unique<CallSyntax>();
  CallSyntax& syntax = *expr.call;
  bool need_comma = false;
  const auto want = [&](bool right) {
    if (!right) cursor_.fail_here("invalid syntax for function call expression");
  };
  const auto take = [&] {
    Expr* argument = expression();
    grow(expr, argument);
    return argument;
  };
  while (!cursor_.now().is(")")) {
    if (need_comma) {
      cursor_.expect(",");
      if (cursor_.now().is(")")) break;
    }
    if (cursor_.skip_if("*")) {
      want(syntax.more_positional == nullptr && syntax.more_named == nullptr);
      syntax.more_positional = take();
    } else if (cursor_.skip_if("**")) {
      want(syntax.more_named == nullptr);
      syntax.more_named = take();
    } else if (cursor_.now().type == TokenType::kName && cursor_.look().is("=")) {
      want(syntax.more_named == nullptr);
      Value name = Value::string(cursor_.next().text);
      cursor_.next();
      for (const auto& [other, argument] : syntax.named)
        if (other.text() == name.text())
          cursor_.fail_here(concat("keyword argument repeated: ", name.text()));
      syntax.named.emplace_back(std::move(name), take());
    } else {
      want(syntax.more_positional == nullptr && syntax.more_named == nullptr &&
           syntax.named.empty());
      syntax.positional.push_back(take());
    }
    need_comma = true;
  }
  cursor_.expect(")");
}

Expr* ExpressionParser::call(Expr* callee) {
  Expr* expr = make(ExprKind::kCall, cursor_.now().line, {callee});
  arguments(*expr);
  return expr;
}

Value ExpressionParser::dotted_name() {
  if (cursor_.now().type != TokenType::kName) cursor_.unexpected("a name");
  std::string name = cursor_.next().text;
  while (cursor_.skip_if(".")) {
    if (cursor_.now().type != TokenType::kName) cursor_.unexpected("a name");
    name += "." + cursor_.next().text;
  }
  return Value::string(std::move(name));
}

Expr* ExpressionParser::filter(Expr* subject) {
  const uint32_t line = cursor_.now().line;
  Expr* expr = make(ExprKind::kFilter, line, {subject}, dotted_name());
  if (cursor_.now().is("("))
    arguments(*expr);
  else
    expr->call = std::make_unique<CallSyntax>();
  return expr;
}

Expr* ExpressionParser::filters(Expr* subject) {
  while (cursor_.skip_if("|")) subject = filter(subject);
  return subject;
}

Expr* ExpressionParser::test(Expr* subject) {
  const uint32_t line = cursor_.next().line;
  const bool negated = cursor_.skip_name("not");
  Expr* expr = make(ExprKind::kTest, line, {subject}, dotted_name());
  const Token& token = cursor_.now();
  if (token.is("(")) {
    arguments(*expr);
  } else {
    expr->call = std::make_unique<CallSyntax>();
    const bool begins = token.type == TokenType::kName || token.type == TokenType::kString ||
                        token.type == TokenType::kInteger || token.type == TokenType::kFloat ||
                        token.is("[") || token.is("{");
    if (begins && !token.is_name("else") && !token.is_name("or") && !token.is_name("and")) {
      if (token.is_name("is")) cursor_.fail_here("You cannot chain multiple tests with is");
      Expr* argument = postfix(primary(false));
      grow(*expr, argument);
      expr->call->positional.push_back(argument);
    }
  }
  return negated ? make(ExprKind::kNot, line, {expr}) : expr;
}

Expr* ExpressionParser::make(ExprKind kind, uint32_t line, std::vector<Expr*> children,
                             Value value) {
  Expr& expr = program_.exprs.emplace_back();
  expr.kind = kind;
  expr.line = line;
  expr.children = std::move(children);
  expr.value = std::move(value);
  for (const Expr* child : expr.children) grow(expr, child);
  return &expr;
}

void ExpressionParser::grow(Expr& expr, const Expr* child) {
  if (child == nullptr) return;
  expr.height = std::max<uint16_t>(expr.height, static_cast<uint16_t>(child->height + 1));
  if (expr.height > kHeightMax)
    cursor_.fail_here(concat("an expression is nested deeper than ", kHeightMax, " levels"));
}

Expr* ExpressionParser::make_name(const Token& token, bool stores) {
  Expr* name = make(ExprKind::kName, token.line, {}, Value::string(token.text));
  name->stores = stores;
  name->undefined = undefined_name(name->value);
  return name;
}

}  // namespace sis::text::tmpl
