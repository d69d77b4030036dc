// What may follow `|`: join, trim, tojson, ...
#pragma once

#include <string_view>

#include "infer/text/chat_template/arguments.h"
#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

class Interpreter;

using FilterFunction = Value (*)(Interpreter&, const Value& subject, Arguments&);
struct FilterEntry {
  std::string_view name;
  FilterFunction call;
};
const FilterEntry* find_filter(std::string_view name);
// One of Jinja's that this engine lacks.
bool is_unsupported_filter(std::string_view name);

// By subject, each in a file of its own; null when the name is another file's.
const FilterEntry* find_text_filter(std::string_view name);
const FilterEntry* find_number_filter(std::string_view name);
const FilterEntry* find_sequence_filter(std::string_view name);

// The value at a dotted path ("a.b.0"), an index, or the item itself for none.
class AttributePath {
 public:
  explicit AttributePath(const Value* attribute);
  Value of(Interpreter& interpreter, const Value& item, const Value* fallback = nullptr) const;

 private:
  Value::Items parts_;
};

}  // namespace sis::text::tmpl
