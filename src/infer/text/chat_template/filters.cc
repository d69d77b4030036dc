#include "infer/text/chat_template/filters.h"

#include <algorithm>

#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/json_text.h"
#include "infer/text/chat_template/operators.h"

namespace sis::text::tmpl {
namespace {

Value default_value(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [fallback, boolean] = bind("default", arguments, {"default_value", "boolean"}, 0);
  const bool wanted = subject.is_undefined() ||
                      (boolean != nullptr && in.is_true(*boolean) && !in.is_true(subject));
  if (!wanted) return subject;
  return fallback != nullptr ? *fallback : Value::string("");
}

Value length_of(Interpreter&, const Value& subject, Arguments& arguments) {
  bind_none("length", arguments);
  return Value::integer(length(subject));
}

Value attribute_of(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [name] = bind("attr", arguments, {"name"}, 1);
  want_defined(subject);
  if (!name->is_string()) fail("attr wants a name, found ", type_name(*name));
  return in.get_own_attribute(subject, *name);
}

constexpr std::string_view kUnsupported[] = {"filesizeformat", "pprint", "random",   "striptags",
                                             "urlencode",      "urlize", "wordwrap", "xmlattr"};

constexpr FilterEntry kFilters[] = {
    {"attr", attribute_of},     {"count", length_of},  {"d", default_value},
    {"default", default_value}, {"length", length_of}, {"tojson", to_json_filter},
};

}  // namespace

const FilterEntry* find_filter(std::string_view name) {
  for (const FilterEntry& filter : kFilters)
    if (filter.name == name) return &filter;
  if (const FilterEntry* found = find_text_filter(name)) return found;
  if (const FilterEntry* found = find_sequence_filter(name)) return found;
  return find_number_filter(name);
}

bool is_unsupported_filter(std::string_view name) {
  return std::find(std::begin(kUnsupported), std::end(kUnsupported), name) !=
         std::end(kUnsupported);
}

AttributePath::AttributePath(const Value* attribute) {
  if (attribute == nullptr || attribute->is(Kind::kNone)) return;
  if (!attribute->is_string()) {
    parts_.push_back(*attribute);
    return;
  }
  for (const std::string& part : split(attribute->text(), '.')) {
    const bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    const auto number = digits ? parse_int(part) : std::nullopt;
    parts_.push_back(number ? Value::integer(*number) : Value::string(part));
  }
}

Value AttributePath::of(Interpreter& in, const Value& item, const Value* fallback) const {
  Value value = item;
  for (const Value& part : parts_) {
    value = in.get_item(value, part);
    if (fallback != nullptr && !fallback->is(Kind::kNone) && value.is_undefined())
      value = *fallback;
  }
  return value;
}

}  // namespace sis::text::tmpl
