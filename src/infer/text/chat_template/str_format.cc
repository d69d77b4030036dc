// Python's str.format on the values of a template, with the sandbox's rules for attributes.
#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/methods.h"
#include "infer/text/chat_template/number_format.h"
#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/python_text.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

constexpr int kNestingMax = 2;  // a field inside a field's format

class StrFormat {
 public:
  StrFormat(Interpreter& in, const Arguments& arguments, const Value* mapping)
      : in_(in), arguments_(arguments), mapping_(mapping) {}

  std::string run(std::string_view text, int depth) {
    if (depth > kNestingMax) fail("max string recursion exceeded");
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const char c = text[at++];
      if (c != '{' && c != '}') {
        out += c;
        continue;
      }
      if (at < text.size() && text[at] == c) {
        out += c;
        ++at;
        continue;
      }
      if (c == '}') fail("Single '}' encountered in format string");
      if (at >= text.size()) fail("Single '{' encountered in format string");
      out += field(text, at, depth);
      in_.meter().bytes(out.size() / 16 + 1);
      if (out.size() > kStringBytesMax) fail_limit("a formatted string is too long");
    }
    return out;
  }

 private:
  // text[at] is behind the opening brace; moves behind the closing one.
  std::string field(std::string_view text, size_t& at, int depth) {
    const size_t begin = at;
    // A bracketed key may hold anything; otherwise braces balance.
    int open = 1;
    bool bracket = false;
    for (; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '[') bracket = true;
      if (c == ']') bracket = false;
      if (bracket) continue;
      if (c == '{') ++open;
      if (c == '}' && --open == 0) break;
    }
    if (at >= text.size()) fail("expected '}' before end of string");
    std::string_view inner = text.substr(begin, at++ - begin);

    size_t name_end = 0;
    for (bool in_key = false; name_end < inner.size(); ++name_end) {
      const char c = inner[name_end];
      if (c == '[') in_key = true;
      if (c == ']') in_key = false;
      if (!in_key && (c == ':' || c == '!')) break;
      if (c == '{') fail("unexpected '{' in field name");
    }
    Value value = look_up(inner.substr(0, name_end));
    inner.remove_prefix(name_end);
    if (inner.starts_with('!')) {
      if (inner.size() < 2 || (inner.size() > 2 && inner[2] != ':'))
        fail("expected ':' after conversion specifier");
      std::string converted;
      if (inner[1] == 'r')
        append_repr(converted, value, in_.meter());
      else if (inner[1] == 's')
        append_str(converted, value, in_.meter());
      else
        fail("Unknown conversion specifier ", in_quotes(inner.substr(1, 1)));
      value = Value::string(std::move(converted));
      inner.remove_prefix(2);
    }
    if (inner.starts_with(':')) inner.remove_prefix(1);
    const std::string spec = inner.find_first_of("{}") == std::string_view::npos
                                 ? std::string(inner)
                                 : run(inner, depth + 1);
    return format_value(value, spec, in_.meter());
  }

  static bool digits(std::string_view text) {
    return !text.empty() && text.size() < 10 &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
  }

  Value look_up(std::string_view name) {
    const size_t first_end = std::min(name.find_first_of(".["), name.size());
    std::string_view first = name.substr(0, first_end);
    Value value;
    if (first.empty()) {
      if (manual_)
        fail("cannot switch from manual field specification to automatic field numbering");
      automatic_ = true;
      value = positional(next_++);
    } else if (digits(first)) {
      if (automatic_)
        fail("cannot switch from automatic field numbering to manual field specification");
      manual_ = true;
      value = positional(static_cast<size_t>(*parse_int(first)));
    } else {
      value = by_name(first);
    }
    name.remove_prefix(first_end);
    while (!name.empty()) {
      if (name[0] == '.') {
        name.remove_prefix(1);
        const size_t end = std::min(name.find_first_of(".["), name.size());
        if (end == 0) fail("Empty attribute in format string");
        value = in_.get_attribute(value, Value::string(std::string(name.substr(0, end))));
        name.remove_prefix(end);
      } else {
        const size_t end = name.find(']');
        if (name[0] != '[' || end == std::string_view::npos) fail("Missing ']' in format string");
        const std::string_view key = name.substr(1, end - 1);
        if (key.empty()) fail("Empty attribute in format string");
        value = in_.get_item(
            value, digits(key) ? Value::integer(*parse_int(key)) : Value::string(std::string(key)));
        name.remove_prefix(end + 1);
        if (!name.empty() && name[0] != '.' && name[0] != '[')
          fail("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  Value positional(size_t index) {
    if (mapping_ != nullptr || index >= arguments_.positional.size())
      fail("Replacement index ", index, " out of range for positional args tuple");
    return arguments_.positional[index];
  }

  Value by_name(std::string_view name) {
    const Value* found =
        mapping_ != nullptr ? mapping_->as_dict().find(name) : arguments_.find(name);
    if (found == nullptr) fail("format field ", in_quotes(name), " is not given");
    return *found;
  }

  Interpreter& in_;
  const Arguments& arguments_;
  const Value* mapping_;
  size_t next_ = 0;
  bool automatic_ = false, manual_ = false;
};

}  // namespace

Value str_format(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  return make_string(StrFormat(interpreter, arguments, nullptr).run(self.text(), 1),
                     interpreter.meter());
}

Value str_format_map(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  const auto [mapping] = bind_plain<1>("format_map", arguments, 1);
  if (!mapping->is(Kind::kDict)) fail("format_map() wants a mapping, found ", type_name(*mapping));
  const Arguments none;
  return make_string(StrFormat(interpreter, none, mapping).run(self.text(), 1),
                     interpreter.meter());
}

}  // namespace sis::text::tmpl
