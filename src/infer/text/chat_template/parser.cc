#include "infer/text/chat_template/parser.h"

#include <algorithm>
#include <initializer_list>

#include "base/check.h"
#include "infer/text/chat_template/fault.h"
#include "infer/text/chat_template/lexer.h"
#include "infer/text/chat_template/parser_expressions.h"

namespace sis::text::tmpl {
namespace {

// The half that reads statements.
class Parser final : ExpressionParser {
 public:
  Parser(std::vector<Token> tokens, Program& program)
      : ExpressionParser(std::move(tokens), program) {}

  void run() {
    program_.body = statements_until({}, "");
    if (cursor_.now().type != TokenType::kEof) cursor_.unexpected("text or a tag");
  }

 private:
  using Ends = std::initializer_list<std::string_view>;

  Stmt* make(StmtKind kind, uint32_t line) {
    Stmt& stmt = program_.stmts.emplace_back();
    stmt.kind = kind;
    stmt.line = line;
    return &stmt;
  }

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
