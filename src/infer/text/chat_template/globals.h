// The functions every template can call: range, namespace, raise_exception, ...
#pragma once

#include <string_view>

#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

// Undefined when there is none of that name.
Value find_global(std::string_view name);

}  // namespace sis::text::tmpl
