// Python's `text % values`.
#pragma once

#include <string_view>

#include "infer/text/chat_template/meter.h"
#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

// `values` is a tuple of them, a dict for %(name)s, or one value.
Value percent_format(std::string_view format, const Value& values, Meter& meter);

}  // namespace sis::text::tmpl
