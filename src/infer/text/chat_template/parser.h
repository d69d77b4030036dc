// Tokens to statements and expressions. Names are not resolved yet: see scopes.h.
#pragma once

#include <memory>
#include <string_view>

#include "infer/text/chat_template/ast.h"

namespace sis::text::tmpl {

struct ParseLimits {
  size_t source_bytes = 1 << 20;
  size_t tokens = 200'000;
};

// Throws Fault with the line at fault.
std::unique_ptr<Program> parse_program(std::string_view source, const ParseLimits& limits);

}  // namespace sis::text::tmpl
