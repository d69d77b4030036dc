// The methods of Python's text, lists, tuples, dictionaries and ranges.
#pragma once

#include <string>
#include <string_view>

#include "infer/text/chat_template/number_format.h"
#include "infer/text/chat_template/runtime_objects.h"

namespace sis::text::tmpl {

// Null when there is no such method, or none that templates may call.
MethodFunction find_method(Kind kind, std::string_view name);
// Whether values of this kind have the attribute at all: a method, safe or not.
bool has_attribute(Kind kind, std::string_view name);
// A method that would change its owner, which templates may not.
bool is_mutator(Kind kind, std::string_view name);

// str.replace; everywhere when `most` is negative.
Value replace_text(Interpreter& interpreter, const Value& subject, std::string_view old,
                   std::string_view fresh, int64_t most);
// str.center, which rounds otherwise than format() does.
std::string center_text(std::string_view text, const FormatSpec& spec);

struct MethodEntry {
  std::string_view name;
  MethodFunction call;
};
// Sorted tables of the kinds, in files of their own.
MethodFunction find_string_method(std::string_view name);

Value str_format(Interpreter& interpreter, const Value& self, Arguments& arguments);
Value str_format_map(Interpreter& interpreter, const Value& self, Arguments& arguments);

}  // namespace sis::text::tmpl
