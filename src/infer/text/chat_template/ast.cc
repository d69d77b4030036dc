#include "infer/text/chat_template/ast.h"

namespace sis::text::tmpl {
namespace {

template <class Fn>
void for_each_constant(Program& program, Fn&& fn) {
  for (Expr& expr : program.exprs) {
    fn(expr.value);
    fn(expr.undefined);
    if (expr.call != nullptr)
      for (auto& [name, argument] : expr.call->named) fn(name);
  }
  for (Stmt& stmt : program.stmts) {
    if (stmt.function == nullptr) continue;
    fn(stmt.function->name);
    for (Parameter& parameter : stmt.function->parameters) {
      fn(parameter.name);
      fn(parameter.undefined);
    }
  }
  for (Value& name : program.context_names) fn(name);
}

}  // namespace

void Program::seal() {
  for_each_constant(*this, [](Value& value) { value.set_permanent(true); });
}

Program::~Program() {
  for_each_constant(*this, [](Value& value) { value.set_permanent(false); });
}

}  // namespace sis::text::tmpl
