// The half of the parser that reads expressions and targets of assignments; parser.cc reads the
// statements around them.
//
// Bounds how deep either nests in one another and how high an expression's tree grows, since later
// passes walk it recursively. Faults are thrown with their line.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "infer/text/chat_template/ast.h"
#include "infer/text/chat_template/parser_cursor.h"

namespace sis::text::tmpl {

class ExpressionParser {
 protected:
  ExpressionParser(std::vector<Token> tokens, Program& program)
      : cursor_(std::move(tokens)), program_(program) {}

  // Guards the recursion; one per level.
  class Level {
   public:
    explicit Level(ExpressionParser& parser);
    ~Level() { --parser_.nesting_; }

   private:
    ExpressionParser& parser_;
  };

  struct TupleRules {
    bool with_cond = true;
    bool parenthesised = false;
    bool simplified = false;  // only names and literals
    bool with_namespace = false;
    std::string_view stop_at = {};  // a name that ends the list
  };

  Expr* tuple_or_expression(TupleRules rules);
  Expr* expression(bool with_cond = true);
  Expr* filter(Expr* subject);   // without its bar
  Expr* filters(Expr* subject);  // each behind a bar; as many as there are
  Expr* name_target();
  Expr* assign_target(TupleRules rules);

  TokenCursor cursor_;
  Program& program_;

 private:
  void store(Expr* target);

  // Loosest first.
  Expr* conditional();
  Expr* or_expression();
  Expr* and_expression();
  void append(Expr*& left, ExprKind kind, uint32_t line, Expr* right);
  Expr* not_expression();
  Expr* comparison();
  std::optional<CompareOp> comparison_operator();
  Expr* sum();
  Expr* concatenation();
  Expr* product();
  Expr* power();
  Expr* unary(bool with_filter = true);
  Expr* primary(bool with_namespace);
  Expr* list(uint32_t line);
  Expr* dict(uint32_t line);
  Expr* postfix(Expr* expr);
  Expr* filters_and_tests(Expr* expr);
  Expr* subscript(Expr* owner);
  void arguments(Expr& expr);
  Expr* call(Expr* callee);
  Value dotted_name();
  Expr* test(Expr* subject);

  Expr* make(ExprKind kind, uint32_t line, std::vector<Expr*> children = {}, Value value = {});
  Expr* make_name(const Token& token, bool stores);
  void grow(Expr& expr, const Expr* child);

  int nesting_ = 0;
};

}  // namespace sis::text::tmpl
