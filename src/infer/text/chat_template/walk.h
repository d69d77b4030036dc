// Visiting a template's nodes in source order.
#pragma once

#include "infer/text/chat_template/ast.h"

namespace sis::text::tmpl {

// fn(Expr&) for each direct part of `expr`.
template <class Fn>
void for_each_part(const Expr& expr, Fn&& fn) {
  for (Expr* child : expr.children)
    if (child != nullptr) fn(*child);
  if (expr.call == nullptr) return;
  for (Expr* argument : expr.call->positional) fn(*argument);
  for (const auto& [name, argument] : expr.call->named) fn(*argument);
  if (expr.call->more_positional != nullptr) fn(*expr.call->more_positional);
  if (expr.call->more_named != nullptr) fn(*expr.call->more_named);
}

// Every name below, in the order they are written: name(Expr&).
template <class Fn>
void for_each_name(Expr& expr, Fn&& fn) {
  if (expr.kind == ExprKind::kName) fn(expr);
  for_each_part(expr, [&](Expr& part) { for_each_name(part, fn); });
}

template <class Fn>
void for_each_name(const Block& block, Fn&& fn) {
  const auto maybe = [&](Expr* expr) {
    if (expr != nullptr) for_each_name(*expr, fn);
  };
  for (const Stmt* stmt : block) {
    for (const OutputPart& part : stmt->parts) maybe(part.expr);
    if (stmt->kind == StmtKind::kCallBlock) maybe(stmt->value);
    if (stmt->kind != StmtKind::kMacro) maybe(stmt->target);
    if (stmt->kind != StmtKind::kCallBlock) maybe(stmt->value);
    if (stmt->function != nullptr)
      for (const Parameter& parameter : stmt->function->parameters) {
        maybe(parameter.target);
        maybe(parameter.fallback);
      }
    for (const auto& [target, value] : stmt->bindings) maybe(target);
    for (const auto& [target, value] : stmt->bindings) maybe(value);
    for (const auto& [test, body] : stmt->branches) {
      maybe(test);
      for_each_name(body, fn);
    }
    if (stmt->kind == StmtKind::kSetBlock) maybe(stmt->filter);
    for_each_name(stmt->body, fn);
    if (stmt->kind == StmtKind::kFilterBlock) maybe(stmt->filter);
    for_each_name(stmt->otherwise, fn);
    maybe(stmt->test);
  }
}

}  // namespace sis::text::tmpl
