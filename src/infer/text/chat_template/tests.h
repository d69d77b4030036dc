// What may follow `is`: defined, string, divisibleby, ...
#pragma once

#include <string_view>

#include "infer/text/chat_template/arguments.h"
#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

class Interpreter;

struct TestEntry {
  std::string_view name;
  bool (*call)(Interpreter&, const Value& subject, Arguments&);
};
const TestEntry* find_test(std::string_view name);

}  // namespace sis::text::tmpl
