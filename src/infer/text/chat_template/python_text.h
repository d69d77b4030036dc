// Values as Python prints them: str(), repr() and float's digits.
#pragma once

#include <string>
#include <string_view>

#include "infer/text/chat_template/meter.h"
#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

// str(value); text is appended as it is, an undefined value is empty.
void append_str(std::string& out, const Value& value, Meter& meter);
void append_repr(std::string& out, const Value& value, Meter& meter);
// For messages; cut short when long.
std::string to_repr(const Value& value);

void append_float(std::string& out, double value);            // repr(float): "1e-05", "2.0"
void append_quoted(std::string& out, std::string_view text);  // repr(str)

}  // namespace sis::text::tmpl
