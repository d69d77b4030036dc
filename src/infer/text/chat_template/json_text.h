// Values to JSON text as Python's json.dumps writes it, and JSON text to values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "infer/text/chat_template/arguments.h"
#include "infer/text/chat_template/meter.h"
#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

class Interpreter;

struct JsonStyle {
  bool ensure_ascii = false;
  bool pretty = false;  // a line per item
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};

// Throws Fault on what JSON cannot hold.
std::string to_json(const Value& value, const JsonStyle& style, Meter& meter);
Value to_json_filter(Interpreter& interpreter, const Value& subject, Arguments& arguments);

// Keeps the order of keys, tells integers from floats and keeps integers of any size. A repeated
// key takes its last value. At most `depth_max` levels and `values_max` values in all. `what` names
// the text in errors.
Result<Value> from_json(std::string_view text, std::string_view what, int depth_max = 100,
                        size_t values_max = SIZE_MAX);

}  // namespace sis::text::tmpl
