// Python's operators on values: arithmetic, comparison, membership, truth, length, iteration.
//
// All throw Fault where Python raises, and pay the Meter for what they build or search.
#pragma once

#include "infer/text/chat_template/ast.h"
#include "infer/text/chat_template/meter.h"
#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

constexpr uint16_t kValueDepthMax = 150;  // of values inside values
constexpr size_t kStringBytesMax = 1 << 26;

bool truthy(const Value& value, Meter& meter);
bool equals(const Value& a, const Value& b, Meter& meter);
bool less(const Value& a, const Value& b, Meter& meter);  // a < b
bool compare(CompareOp op, const Value& a, const Value& b, Meter& meter);
bool contains(const Value& container, const Value& item, Meter& meter);

Value arithmetic(Op op, const Value& a, const Value& b, Meter& meter);
Value negated(Op op, const Value& a);  // kNeg and kPos

bool has_length(const Value& value);
int64_t length(const Value& value);
bool is_iterable(const Value& value);
// Everything `value` goes through. Iterators are used up.
Value::Items iterate(const Value& value, Meter& meter);

Value make_string(std::string text, Meter& meter);
Value make_list(Value::Items items, Meter& meter);
Value make_tuple(Value::Items items, Meter& meter);
Value make_dict(Value::Entries entries, Meter& meter);  // refuses keys that cannot be hashed
void check_depth(const Value& value);

// Uses of undefined values that Python refuses.
[[noreturn]] void fail_undefined(const Value& undefined);
inline void want_defined(const Value& value) {
  if (value.is_undefined()) [[unlikely]]
    fail_undefined(value);
}

}  // namespace sis::text::tmpl
