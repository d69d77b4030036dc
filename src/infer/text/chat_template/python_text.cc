#include "infer/text/chat_template/python_text.h"

#include <charconv>
#include <cmath>

#include "infer/text/chat_template/runtime_objects.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

constexpr int kNestingMax = 250;  // values are kept flatter; only a namespace inside itself is not

void repr(std::string& out, const Value& value, Meter& meter, int depth);

void repr_items(std::string& out, const Value::Items& items, Meter& meter, int depth) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i != 0) out += ", ";
    repr(out, items[i], meter, depth);
  }
}

void repr_entries(std::string& out, const Value::Entries& entries, Meter& meter, int depth) {
  out += '{';
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i != 0) out += ", ";
    repr(out, entries[i].first, meter, depth);
    out += ": ";
    repr(out, entries[i].second, meter, depth);
  }
  out += '}';
}

void repr_view(std::string& out, const ViewObject& view, Meter& meter, int depth) {
  out += view.part == ViewObject::kKeys     ? "dict_keys(["
         : view.part == ViewObject::kValues ? "dict_values(["
                                            : "dict_items([";
  bool first = true;
  for (const auto& [key, value] : view.dict.entries()) {
    if (!first) out += ", ";
    first = false;
    if (view.part == ViewObject::kItems) {
      out += '(';
      repr(out, key, meter, depth);
      out += ", ";
      repr(out, value, meter, depth);
      out += ')';
    } else {
      repr(out, view.part == ViewObject::kKeys ? key : value, meter, depth);
    }
  }
  out += "])";
}

void repr(std::string& out, const Value& value, Meter& meter, int depth) {
  if (++depth > kNestingMax) fail_limit("a value to be printed is nested too deeply");
  const size_t before = out.size();
  meter.steps();
  switch (value.kind()) {
    case Kind::kNone:
      out += "None";
      break;
    case Kind::kBool:
      out += value.as_bool() ? "True" : "False";
      break;
    case Kind::kInt:
      out += std::to_string(value.as_int());
      break;
    case Kind::kFloat:
      append_float(out, value.as_float());
      break;
    case Kind::kUndefined:
      out += "Undefined";
      break;
    case Kind::kBigInt:
      out += value.text();
      break;
    case Kind::kString:
      append_quoted(out, value.text());
      break;
    case Kind::kList:
      out += '[';
      repr_items(out, value.items(), meter, depth);
      out += ']';
      return;
    case Kind::kTuple:
      out += '(';
      repr_items(out, value.items(), meter, depth);
      if (value.items().size() == 1) out += ',';
      out += ')';
      return;
    case Kind::kDict:
      repr_entries(out, value.entries(), meter, depth);
      return;
    case Kind::kView:
      repr_view(out, value.as<ViewObject>(), meter, depth);
      return;
    case Kind::kRange: {
      const auto& range = value.as<RangeObject>();
      out += concat("range(", range.start, ", ", range.stop);
      if (range.step != 1) out += concat(", ", range.step);
      out += ')';
      break;
    }
    case Kind::kNamespace:
      out += "<Namespace ";
      repr_entries(out, value.as<NamespaceObject>().entries, meter, depth);
      out += '>';
      return;
    case Kind::kLoop: {
      const auto& loop = value.as<LoopObject>();
      out += concat("<LoopContext ", loop.index0 + 1, "/", loop.length(), ">");
      break;
    }
    case Kind::kMacro: {
      out += "<Macro ";
      const std::string_view name = value.as<MacroObject>().name();
      if (name.empty())
        out += "anonymous";
      else
        append_quoted(out, name);
      out += '>';
      break;
    }
    // Python prints an address here.
    case Kind::kIterator:
    case Kind::kFunction:
    case Kind::kMethod:
    case Kind::kCycler:
    case Kind::kJoiner:
      out += concat("<", type_name(value), " object>");
      break;
  }
  meter.bytes(out.size() - before);
}

}  // namespace

void append_str(std::string& out, const Value& value, Meter& meter) {
  if (value.is_string()) {
    meter.bytes(value.text().size());
    out += value.text();
  } else if (!value.is_undefined()) {
    repr(out, value, meter, 0);
  }
}

void append_repr(std::string& out, const Value& value, Meter& meter) { repr(out, value, meter, 0); }

std::string to_repr(const Value& value) {
  constexpr size_t kShown = 200;
  std::string out;
  Meter meter(10'000, 1 << 16);
  try {
    repr(out, value, meter, 0);
  } catch (const Fault&) {
    return concat("a large ", type_name(value));
  }
  if (out.size() <= kShown) return out;
  return out.substr(0, byte_of_char(out, kShown)) + "...";
}

void append_float(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "nan";
    return;
  }
  if (std::isinf(value)) {
    out += value < 0 ? "-inf" : "inf";
    return;
  }
  // The shortest digits that read back the same; Python and C++ differ in how to lay them out.
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific);
  std::string_view printed(text, static_cast<size_t>(end.ptr - text));
  if (printed.front() == '-') {
    out += '-';
    printed.remove_prefix(1);
  }
  const size_t e = printed.find('e');
  int exponent = 0;
  const char* digits_of_exponent = printed.data() + e + 1 + (printed[e + 1] == '+');
  std::from_chars(digits_of_exponent, printed.data() + printed.size(), exponent);
  std::string digits(1, printed[0]);
  if (e > 2) digits += printed.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out.append(".").append(digits, 1);
    out += exponent < 0 ? "e-" : "e+";
    if (std::abs(exponent) < 10) out += '0';
    out += std::to_string(std::abs(exponent));
  } else if (exponent < 0) {
    out.append("0.").append(static_cast<size_t>(-exponent - 1), '0').append(digits);
  } else if (count <= exponent + 1) {
    out.append(digits).append(static_cast<size_t>(exponent + 1 - count), '0').append(".0");
  } else {
    const auto whole = static_cast<size_t>(exponent + 1);
    out.append(digits, 0, whole).append(".").append(digits, whole);
  }
}

void append_quoted(std::string& out, std::string_view text) {
  const char quote =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"'
                                                                                            : '\'';
  out += quote;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_char(text, at);
    if (c == '\\' || c == static_cast<char32_t>(quote)) {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out += text.substr(begin, at - begin);
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  }
  out += quote;
}

}  // namespace sis::text::tmpl
