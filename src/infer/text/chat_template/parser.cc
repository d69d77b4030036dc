#include "infer/text/chat_template/parser.h"

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "base/check.h"
#include "infer/text/chat_template/fault.h"
#include "infer/text/chat_template/lexer.h"
#include "infer/text/chat_template/parser_cursor.h"

namespace sis::text::tmpl {
namespace {

constexpr int kNestingMax = 80;       // of brackets, prefixes and statements in one another
constexpr uint16_t kHeightMax = 160;  // of one expression's tree

class Parser {
 public:
  Parser(std::vector<Token> tokens, Program& program)
      : cursor_(std::move(tokens)), program_(program) {}

  void run() {
    program_.body = statements_until({}, "");
    if (cursor_.now().type != TokenType::kEof) cursor_.unexpected("text or a tag");
  }

 private:
  using Ends = std::initializer_list<std::string_view>;

  // Guards the recursion; one per level.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.nesting_ > kNestingMax)
        parser_.cursor_.fail_here(concat("nested deeper than ", kNestingMax, " levels"));
    }
    ~Level() { --parser_.nesting_; }

   private:
    Parser& parser_;
  };

  Expr* make(ExprKind kind, uint32_t line, std::vector<Expr*> children = {}, Value value = {}) {
    Expr& expr = program_.exprs.emplace_back();
    expr.kind = kind;
    expr.line = line;
    expr.children = std::move(children);
    expr.value = std::move(value);
    for (const Expr* child : expr.children) grow(expr, child);
    return &expr;
  }
  void grow(Expr& expr, const Expr* child) {
    if (child == nullptr) return;
    expr.height = std::max<uint16_t>(expr.height, static_cast<uint16_t>(child->height + 1));
    if (expr.height > kHeightMax)
      cursor_.fail_here(concat("an expression is nested deeper than ", kHeightMax, " levels"));
  }
  Expr* make_name(const Token& token, bool stores) {
    Expr* name = make(ExprKind::kName, token.line, {}, Value::string(token.text));
    name->stores = stores;
    name->undefined = undefined_name(name->value);
    return name;
  }
  Stmt* make(StmtKind kind, uint32_t line) {
    Stmt& stmt = program_.stmts.emplace_back();
    stmt.kind = kind;
    stmt.line = line;
    return &stmt;
  }

  // ---- statements

  Block statements_until(Ends ends, std::string_view opened_by) {
    Block body;
    Stmt* output = nullptr;
    const auto print = [&](uint32_t line) -> OutputPart& {
      if (output == nullptr) body.push_back(output = make(StmtKind::kOutput, line));
      return output->parts.emplace_back();
    };
    for (;;) {
      const Token& token = cursor_.now();
      if (token.type == TokenType::kEof) {
        if (ends.size() != 0)
          cursor_.fail_here(concat("unexpected end of template: {% ", opened_by, " %} wants {% ",
                                   *(ends.end() - 1), " %}"));
        return body;
      }
      if (token.type == TokenType::kData) {
        program_.text_bytes += token.text.size();
        print(token.line).text = token.text;
        cursor_.next();
      } else if (token.type == TokenType::kVariableBegin) {
        const uint32_t line = cursor_.next().line;
        Expr* expr = tuple_or_expression({});
        cursor_.expect(TokenType::kVariableEnd, "end of print statement");
        print(line).expr = expr;
      } else if (token.type == TokenType::kBlockBegin) {
        output = nullptr;
        cursor_.next();
        const Token& name = cursor_.now();
        if (name.type == TokenType::kName &&
            std::find(ends.begin(), ends.end(), name.text) != ends.end())
          return body;
        if (Stmt* stmt = statement(ends)) body.push_back(stmt);
        cursor_.expect(TokenType::kBlockEnd, "end of statement block");
      } else {
        cursor_.unexpected("text or a tag");
      }
    }
  }

  Block body_until(Ends ends, std::string_view opened_by) {
    cursor_.skip_if(":");
    cursor_.expect(TokenType::kBlockEnd, "end of statement block");
    return statements_until(ends, opened_by);
  }
  Block body_through(std::string_view end, std::string_view opened_by) {
    Block body = body_until({end}, opened_by);
    cursor_.next();
    return body;
  }

  Stmt* statement(Ends ends) {
    const Level level(*this);
    const Token& token = cursor_.now();
    if (token.type != TokenType::kName) cursor_.fail_here("tag name expected");
    if (token.text == "if") return if_statement();
    if (token.text == "for") return for_statement();
    if (token.text == "set") return set_statement();
    if (token.text == "print") return print_statement();
    if (token.text == "macro") return macro_statement();
    if (token.text == "call") return call_statement();
    if (token.text == "filter") return filter_statement();
    if (token.text == "with") return with_statement();
    if (token.text == "generation") return generation_statement();
    if (token.text == "break" || token.text == "continue")
      return make(token.text == "break" ? StmtKind::kBreak : StmtKind::kContinue,
                  cursor_.next().line);
    for (std::string_view known : {"include", "import", "from", "extends", "block", "autoescape"})
      if (token.text == known)
        cursor_.fail_here(concat("{% ", known, " %} is not supported in chat templates"));
    std::string message = concat("unknown tag ", in_quotes(token.text));
    if (ends.size() != 0) message += concat("; expected one of: ", join_list(ends));
    cursor_.fail_here(message);
  }

  Stmt* if_statement() {
    Stmt* stmt = make(StmtKind::kIf, cursor_.next().line);
    for (;;) {
      Expr* test = tuple_or_expression({.with_cond = false});
      stmt->branches.emplace_back(test, body_until({"elif", "else", "endif"}, "if"));
      const Token& token = cursor_.next();
      if (token.text == "elif") continue;
      if (token.text == "else") stmt->branches.emplace_back(nullptr, body_through("endif", "if"));
      return stmt;
    }
  }

  Stmt* for_statement() {
    Stmt* stmt = make(StmtKind::kFor, cursor_.next().line);
    const size_t target_at = cursor_.position();
    stmt->target = assign_target({.stop_at = "in"});
    if (!cursor_.now().is_name("in")) cursor_.unexpected("'in'");
    const size_t after_target = cursor_.position();
    cursor_.next();
    stmt->value = tuple_or_expression({.with_cond = false, .stop_at = "recursive"});
    if (cursor_.skip_name("if")) {
      stmt->test = expression();
      // The filter has variables of its own, so its target is read once more.
      const size_t here = cursor_.position();
      cursor_.go(target_at);
      stmt->test_target = assign_target({.stop_at = "in"});
      SIS_CHECK(cursor_.position() == after_target);
      cursor_.go(here);
    }
    stmt->recursive = cursor_.skip_name("recursive");
    stmt->body = body_until({"else", "endfor"}, "for");
    if (cursor_.next().text == "else") stmt->otherwise = body_through("endfor", "for");
    return stmt;
  }

  Stmt* set_statement() {
    const uint32_t line = cursor_.next().line;
    Expr* target = assign_target({.with_namespace = true});
    if (cursor_.skip_if("=")) {
      Stmt* stmt = make(StmtKind::kSet, line);
      stmt->target = target;
      stmt->value = tuple_or_expression({});
      return stmt;
    }
    Stmt* stmt = make(StmtKind::kSetBlock, line);
    stmt->target = target;
    if (cursor_.now().is("|")) stmt->filter = filters(nullptr);
    stmt->body = body_through("endset", "set");
    return stmt;
  }

  Stmt* print_statement() {
    Stmt* stmt = make(StmtKind::kOutput, cursor_.next().line);
    while (cursor_.now().type != TokenType::kBlockEnd) {
      if (!stmt->parts.empty()) cursor_.expect(",");
      stmt->parts.push_back({.text = {}, .expr = expression()});
    }
    return stmt;
  }

  void signature(Function& function) {
    cursor_.expect("(");
    bool with_defaults = false;
    while (!cursor_.now().is(")")) {
      if (!function.parameters.empty()) cursor_.expect(",");
      Parameter parameter;
      parameter.target = name_target();
      parameter.name = parameter.target->value;
      parameter.undefined = undefined_parameter(parameter.name);
      if (cursor_.skip_if("=")) {
        parameter.fallback = expression();
        with_defaults = true;
      } else if (with_defaults) {
        cursor_.fail_here("non-default argument follows default argument");
      }
      function.parameters.push_back(std::move(parameter));
    }
    cursor_.expect(")");
  }

  static Value undefined_parameter(const Value& name) {
    return undefined_hint(concat("parameter '", name.text(), "' was not provided"));
  }

  Stmt* macro_statement() {
    Stmt* stmt = make(StmtKind::kMacro, cursor_.next().line);
    stmt->target = name_target();
    stmt->function = std::make_unique<Function>();
    stmt->function->name = stmt->target->value;
    signature(*stmt->function);
    stmt->body = body_through("endmacro", "macro");
    return stmt;
  }

  Stmt* call_statement() {
    Stmt* stmt = make(StmtKind::kCallBlock, cursor_.next().line);
    stmt->function = std::make_unique<Function>();
    if (cursor_.now().is("(")) signature(*stmt->function);
    stmt->value = expression();
    if (stmt->value->kind != ExprKind::kCall) cursor_.fail_here("expected call");
    stmt->body = body_through("endcall", "call");
    return stmt;
  }

  Stmt* generation_statement() {
    Stmt* stmt = make(StmtKind::kGeneration, cursor_.next().line);
    stmt->function = std::make_unique<Function>();
    stmt->body = body_through("endgeneration", "generation");
    return stmt;
  }

  Stmt* filter_statement() {
    Stmt* stmt = make(StmtKind::kFilterBlock, cursor_.next().line);
    stmt->filter = filters(filter(nullptr));
    stmt->body = body_through("endfilter", "filter");
    return stmt;
  }

  Stmt* with_statement() {
    Stmt* stmt = make(StmtKind::kWith, cursor_.next().line);
    while (cursor_.now().type != TokenType::kBlockEnd) {
      if (!stmt->bindings.empty()) cursor_.expect(",");
      Expr* target = assign_target({});
      cursor_.expect("=");
      stmt->bindings.emplace_back(target, expression());
    }
    stmt->body = body_through("endwith", "with");
    return stmt;
  }

  // ---- targets

  struct TupleRules {
    bool with_cond = true;
    bool parenthesised = false;
    bool simplified = false;  // only names and literals
    bool with_namespace = false;
    std::string_view stop_at = {};  // a name that ends the list
  };

  Expr* name_target() {
    if (cursor_.now().type != TokenType::kName) cursor_.unexpected("a name");
    const Token& token = cursor_.next();
    if (is_literal_name(token.text))
      cursor_.fail_here(concat("can't assign to '", token.text, "'"));
    return make_name(token, true);
  }

  Expr* assign_target(TupleRules rules) {
    rules.simplified = true;
    Expr* target = tuple_or_expression(rules);
    store(target);
    return target;
  }

  void store(Expr* target) {
    if (target->kind == ExprKind::kTuple) {
      for (Expr* child : target->children) store(child);
    } else if (target->kind == ExprKind::kName) {
      target->stores = true;
    } else if (target->kind != ExprKind::kNsRef) {
      cursor_.fail_here("can't assign to an expression");
    }
  }

  static bool is_literal_name(std::string_view name) {
    return name == "true" || name == "false" || name == "none" || name == "True" ||
           name == "False" || name == "None";
  }

  // ---- expressions, loosest first

  Expr* tuple_or_expression(TupleRules rules) {
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
      items.push_back(rules.simplified ? primary(rules.with_namespace)
                                       : expression(rules.with_cond));
      if (!cursor_.now().is(",")) break;
      is_tuple = true;
    }
    if (!is_tuple) {
      if (!items.empty()) return items[0];
      if (!rules.parenthesised) cursor_.unexpected("an expression");
    }
    return make(ExprKind::kTuple, line, std::move(items));
  }

  Expr* expression(bool with_cond = true) {
    const Level level(*this);
    return with_cond ? conditional() : or_expression();
  }

  Expr* conditional() {
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

  Expr* or_expression() {
    Expr* left = and_expression();
    while (cursor_.now().is_name("or")) {
      const uint32_t line = cursor_.next().line;
      append(left, ExprKind::kOr, line, and_expression());
    }
    return left;
  }

  Expr* and_expression() {
    Expr* left = not_expression();
    while (cursor_.now().is_name("and")) {
      const uint32_t line = cursor_.next().line;
      append(left, ExprKind::kAnd, line, not_expression());
    }
    return left;
  }

  // Chains of one associative operator are one node.
  void append(Expr*& left, ExprKind kind, uint32_t line, Expr* right) {
    if (left->kind == kind) {
      left->children.push_back(right);
      grow(*left, right);
    } else {
      left = make(kind, line, {left, right});
    }
  }

  Expr* not_expression() {
    if (!cursor_.now().is_name("not")) return comparison();
    const Level level(*this);
    const uint32_t line = cursor_.next().line;
    Expr* operand = not_expression();
    return make(ExprKind::kNot, line, {operand});
  }

  Expr* comparison() {
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

  std::optional<CompareOp> comparison_operator() {
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

  Expr* sum() {
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

  Expr* concatenation() {
    const uint32_t line = cursor_.now().line;
    std::vector<Expr*> parts{product()};
    while (cursor_.skip_if("~")) parts.push_back(product());
    return parts.size() == 1 ? parts[0] : make(ExprKind::kConcat, line, std::move(parts));
  }

  Expr* product() {
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

  Expr* power() {
    Expr* left = unary();
    while (cursor_.now().is("**")) {
      const uint32_t line = cursor_.next().line;
      left = make(ExprKind::kBinary, line, {left, unary()});
      left->op = Op::kPow;
    }
    return left;
  }

  Expr* unary(bool with_filter = true) {
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

  Expr* primary(bool with_namespace) {
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

  Expr* list(uint32_t line) {
    std::vector<Expr*> items;
    while (!cursor_.now().is("]")) {
      if (!items.empty()) cursor_.expect(",");
      if (cursor_.now().is("]")) break;
      items.push_back(expression());
    }
    cursor_.expect("]");
    return make(ExprKind::kList, line, std::move(items));
  }

  Expr* dict(uint32_t line) {
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

  Expr* postfix(Expr* expr) {
    for (;;) {
      if (cursor_.now().is(".") || cursor_.now().is("["))
        expr = subscript(expr);
      else if (cursor_.now().is("("))
        expr = call(expr);
      else
        return expr;
    }
  }

  Expr* filters_and_tests(Expr* expr) {
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

  Expr* subscript(Expr* owner) {
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

  void arguments(Expr& expr) {
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

  Expr* call(Expr* callee) {
    Expr* expr = make(ExprKind::kCall, cursor_.now().line, {callee});
    arguments(*expr);
    return expr;
  }

  Value dotted_name() {
    if (cursor_.now().type != TokenType::kName) cursor_.unexpected("a name");
    std::string name = cursor_.next().text;
    while (cursor_.skip_if(".")) {
      if (cursor_.now().type != TokenType::kName) cursor_.unexpected("a name");
      name += "." + cursor_.next().text;
    }
    return Value::string(std::move(name));
  }

  Expr* filter(Expr* subject) {
    const uint32_t line = cursor_.now().line;
    Expr* expr = make(ExprKind::kFilter, line, {subject}, dotted_name());
    if (cursor_.now().is("("))
      arguments(*expr);
    else
      expr->call = std::make_unique<CallSyntax>();
    return expr;
  }

  Expr* filters(Expr* subject) {
    while (cursor_.skip_if("|")) subject = filter(subject);
    return subject;
  }

  Expr* test(Expr* subject) {
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

  TokenCursor cursor_;
  Program& program_;
  int nesting_ = 0;
};

}  // namespace

std::unique_ptr<Program> parse_program(std::string_view source, const ParseLimits& limits) {
  if (source.size() > limits.source_bytes)
    fail_limit(
        concat("the template has ", source.size(), " bytes, want at most ", limits.source_bytes));
  if (!is_utf8(source)) fail("the template is not UTF-8");
  auto program = std::make_unique<Program>();
  Parser(tokenize(source, limits.tokens), *program).run();
  return program;
}

}  // namespace sis::text::tmpl
