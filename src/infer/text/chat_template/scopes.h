// Which variable a name means, decided once per template.
//
// Jinja's rules, which templates lean on: loops, macros and blocks have scopes of their own; a name
// that is set inside starts there as a copy of the outer one; `if` has no scope. Also finds filters
// and tests, and refuses `break` outside loops. Throws Fault.
#pragma once

#include "infer/text/chat_template/ast.h"

namespace sis::text::tmpl {

void resolve_names(Program& program);

}  // namespace sis::text::tmpl
