// The methods of Python's str.
#include <algorithm>
#include <optional>

#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/methods.h"
#include "infer/text/chat_template/number_format.h"
#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

using sis::text::tmpl::bind;

std::string_view want_text(std::string_view method, const Value& value) {
  want_defined(value);
  if (!value.is_string()) fail("str.", method, "() wants text, found ", type_name(value));
  return value.text();
}

int64_t want_integer(std::string_view method, const Value& value) {
  want_defined(value);
  if (!value.is_integral()) fail("str.", method, "() wants an integer, found ", type_name(value));
  return value.as_int();
}

Value text_result(Interpreter& in, std::string text) {
  return make_string(std::move(text), in.meter());
}

// Mapping of the whole text.
template <std::string (*kMap)(std::string_view)>
Value mapped(Interpreter& in, const Value& self, Arguments& arguments) {
  bind_none("str method", arguments);
  in.meter().steps(1 + self.text().size() / 16);
  return text_result(in, kMap(self.text()));
}

// Every character is so, and there is one.
template <bool (*kIs)(char32_t)>
Value all_are(Interpreter& in, const Value& self, Arguments& arguments) {
  bind_none("str method", arguments);
  const std::string_view text = self.text();
  in.meter().steps(1 + text.size() / 16);
  for (size_t at = 0; at < text.size();)
    if (!kIs(next_char(text, at))) return Value::boolean(false);
  return Value::boolean(!text.empty());
}

bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }

Value isascii(Interpreter&, const Value& self, Arguments& arguments) {
  bind_none("isascii", arguments);
  return Value::boolean(is_ascii(self.text()));
}

Value isprintable(Interpreter& in, const Value& self, Arguments& arguments) {
  return self.text().empty() ? Value::boolean(true) : all_are<is_printable>(in, self, arguments);
}

Value isidentifier(Interpreter&, const Value& self, Arguments& arguments) {
  bind_none("isidentifier", arguments);
  const std::string_view text = self.text();
  if (text.empty()) return Value::boolean(false);
  size_t at = 0;
  bool holds = is_identifier_start(next_char(text, at));
  while (holds && at < text.size()) holds = is_identifier_part(next_char(text, at));
  return Value::boolean(holds);
}

// islower and isupper: some cased character, and none of the other case.
template <bool (*kWanted)(char32_t), bool (*kOther)(char32_t)>
Value cased(Interpreter& in, const Value& self, Arguments& arguments) {
  bind_none("str method", arguments);
  const std::string_view text = self.text();
  in.meter().steps(1 + text.size() / 16);
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (kOther(c) || is_title(c)) return Value::boolean(false);
    any = any || kWanted(c);
  }
  return Value::boolean(any);
}

Value istitle(Interpreter& in, const Value& self, Arguments& arguments) {
  bind_none("istitle", arguments);
  in.meter().steps(1 + self.text().size() / 16);
  bool any = false, in_word = false;
  for (size_t at = 0; at < self.text().size();) {
    const char32_t c = next_char(self.text(), at);
    if (is_upper(c) || is_title(c)) {
      if (in_word) return Value::boolean(false);
      in_word = any = true;
    } else if (is_lower(c)) {
      if (!in_word) return Value::boolean(false);
      any = true;
    } else {
      in_word = false;
    }
  }
  return Value::boolean(any);
}

// ---- stripping

bool in_set(std::string_view set, std::string_view c) {
  return c.size() == 1 && is_ascii(set) ? set.find(c[0]) != std::string_view::npos : [&] {
    for (size_t at = 0; at < set.size();) {
      const size_t begin = at;
      next_char(set, at);
      if (set.substr(begin, at - begin) == c) return true;
    }
    return false;
  }();
}

template <bool kLeft, bool kRight>
Value strip_some(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [chars] = bind_plain<1>("strip", arguments, 0);
  std::string_view text = self.text();
  if (chars == nullptr || chars->is(Kind::kNone)) {
    if (kLeft) text = strip_left(text);
    if (kRight) text = strip_right(text);
  } else {
    const std::string_view set = want_text("strip", *chars);
    const auto drop = [&](std::string_view c) {
      in.meter().steps(1 + set.size() / 64);
      return in_set(set, c);
    };
    while (kLeft && !text.empty()) {
      size_t at = 0;
      next_char(text, at);
      if (!drop(text.substr(0, at))) break;
      text.remove_prefix(at);
    }
    while (kRight && !text.empty()) {
      size_t at = text.size();
      previous_char(text, at);
      if (!drop(text.substr(at))) break;
      text.remove_suffix(text.size() - at);
    }
  }
  if (text.size() == self.text().size()) return self;
  return text_result(in, std::string(text));
}

// ---- searching

// The bytes between optional character positions; nothing when they cross or start past the end.
struct Window {
  std::string_view text;
  size_t begin_byte = 0;
  bool valid = true;
};

Window window(std::string_view text, const Value* start, const Value* end) {
  if ((start == nullptr || start->is(Kind::kNone)) && (end == nullptr || end->is(Kind::kNone)))
    return {text};
  const auto size = static_cast<int64_t>(count_chars(text));
  const auto position = [&](const Value* value, int64_t fallback) {
    if (value == nullptr || value->is(Kind::kNone)) return fallback;
    int64_t at = want_integer("find", *value);
    if (at < 0) at = std::max<int64_t>(at + size, 0);
    return at;
  };
  const int64_t from = position(start, 0), to = std::min(position(end, size), size);
  if (from > to) return {.valid = false};
  const size_t begin = byte_of_char(text, static_cast<size_t>(from));
  const size_t stop = byte_of_char(text, static_cast<size_t>(to));
  return {text.substr(begin, stop - begin), begin};
}

int64_t search(Interpreter& in, const Value& self, Arguments& arguments, bool from_right) {
  const auto [needle, start, end] = bind_plain<3>("find", arguments, 1);
  const std::string_view text = self.text(), want = want_text("find", *needle);
  in.meter().steps(1 + text.size() / 64);
  const Window part = window(text, start, end);
  if (!part.valid) return -1;
  size_t found = std::string_view::npos;
  if (!from_right) {
    found = find_text(part.text, want);
  } else if (want.empty()) {
    found = part.text.size();
  } else {
    // Linear: every place is met once, from the left.
    for (size_t at = find_text(part.text, want); at != std::string_view::npos;
         at = find_text(part.text, want, at + 1)) {
      found = at;
      in.meter().steps(1 + want.size() / 64);
    }
  }
  if (found == std::string_view::npos) return -1;
  return static_cast<int64_t>(count_chars(text.substr(0, part.begin_byte + found)));
}

template <bool kRight>
Value find(Interpreter& in, const Value& self, Arguments& arguments) {
  return Value::integer(search(in, self, arguments, kRight));
}

template <bool kRight>
Value index(Interpreter& in, const Value& self, Arguments& arguments) {
  const int64_t at = search(in, self, arguments, kRight);
  if (at < 0) fail("substring not found");
  return Value::integer(at);
}

Value count(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [needle, start, end] = bind_plain<3>("count", arguments, 1);
  const std::string_view want = want_text("count", *needle);
  in.meter().steps(1 + self.text().size() / 16);
  const Window part = window(self.text(), start, end);
  if (!part.valid) return Value::integer(0);
  if (want.empty()) return Value::integer(static_cast<int64_t>(count_chars(part.text)) + 1);
  int64_t found = 0;
  for (size_t at = find_text(part.text, want); at != std::string_view::npos;
       at = find_text(part.text, want, at + want.size()))
    ++found;
  return Value::integer(found);
}

template <bool kEnd>
Value starts_or_ends(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [affix, start, end] = bind_plain<3>(kEnd ? "endswith" : "startswith", arguments, 1);
  in.meter().steps();
  const Window part = window(self.text(), start, end);
  const auto fits = [&](const Value& one) {
    if (!one.is_string())
      fail(kEnd ? "endswith" : "startswith", " wants str or a tuple of str, found ",
           type_name(one));
    return part.valid &&
           (kEnd ? part.text.ends_with(one.text()) : part.text.starts_with(one.text()));
  };
  if (!affix->is(Kind::kTuple)) return Value::boolean(fits(*affix));
  for (const Value& one : affix->items())
    if (fits(one)) return Value::boolean(true);
  return Value::boolean(false);
}

template <bool kSuffix>
Value remove_affix(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [affix] = bind_plain<1>("removeprefix", arguments, 1);
  const std::string_view text = self.text(), drop = want_text("removeprefix", *affix);
  if (kSuffix && !drop.empty() && text.ends_with(drop))
    return text_result(in, std::string(text.substr(0, text.size() - drop.size())));
  if (!kSuffix && text.starts_with(drop))
    return text_result(in, std::string(text.substr(drop.size())));
  return self;
}

template <bool kRight>
Value partition(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [separator] = bind_plain<1>("partition", arguments, 1);
  const std::string_view text = self.text(), want = want_text("partition", *separator);
  if (want.empty()) fail("empty separator");
  in.meter().steps(1 + text.size() / 64);
  const size_t at = kRight ? text.rfind(want) : find_text(text, want);
  const auto piece = [&](std::string_view part) { return text_result(in, std::string(part)); };
  if (at == std::string_view::npos)
    return kRight ? make_tuple({piece(""), piece(""), self}, in.meter())
                  : make_tuple({self, piece(""), piece("")}, in.meter());
  return make_tuple({piece(text.substr(0, at)), *separator, piece(text.substr(at + want.size()))},
                    in.meter());
}

// ---- splitting and joining

Value pieces(Interpreter& in, const std::vector<std::string_view>& parts) {
  Value::Items items;
  in.meter().values(4 * parts.size());
  items.reserve(parts.size());
  for (std::string_view part : parts) items.push_back(text_result(in, std::string(part)));
  return make_list(std::move(items), in.meter());
}

std::vector<std::string_view> split_space(std::string_view text, int64_t limit, bool from_right) {
  std::vector<std::string_view> parts;
  while (true) {
    text = from_right ? strip_right(text) : strip_left(text);
    if (text.empty()) break;
    if (limit-- == 0) {
      parts.push_back(from_right ? strip_right(text) : text);
      break;
    }
    size_t at = from_right ? text.size() : 0;
    while (from_right ? at > 0 : at < text.size()) {
      size_t next = at;
      if (is_space(from_right ? previous_char(text, next) : next_char(text, next))) break;
      at = next;
    }
    parts.push_back(from_right ? text.substr(at) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(at);
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_by(std::string_view text, std::string_view separator,
                                       int64_t limit, bool from_right) {
  std::vector<std::string_view> parts;
  while (limit-- != 0) {
    const size_t at = from_right ? text.rfind(separator) : find_text(text, separator);
    if (at == std::string_view::npos) break;
    if (from_right) {
      parts.push_back(text.substr(at + separator.size()));
      text = text.substr(0, at);
    } else {
      parts.push_back(text.substr(0, at));
      text = text.substr(at + separator.size());
    }
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool kRight>
Value split(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [separator, limit] = bind("split", arguments, {"sep", "maxsplit"}, 0);
  const int64_t most = limit != nullptr ? want_integer("split", *limit) : -1;
  in.meter().steps(1 + self.text().size() / 8);
  if (separator == nullptr || separator->is(Kind::kNone))
    return pieces(in, split_space(self.text(), most < 0 ? -1 : most, kRight));
  const std::string_view want = want_text("split", *separator);
  if (want.empty()) fail("empty separator");
  // A long separator could make a search from the right slow.
  if (kRight) in.meter().steps(self.text().size() / 64 * std::min<size_t>(want.size(), 4096) / 64);
  return pieces(in, split_by(self.text(), want, most < 0 ? -1 : most, kRight));
}

Value splitlines(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [keep] = bind("splitlines", arguments, {"keepends"}, 0);
  in.meter().steps(1 + self.text().size() / 8);
  if (keep != nullptr && !keep->is_integral()) fail("splitlines() wants a boolean");
  return pieces(in, split_lines(self.text(), keep != nullptr && keep->as_int() != 0));
}

Value join(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [items] = bind_plain<1>("join", arguments, 1);
  std::string out;
  size_t i = 0;
  for (const Value& item : iterate(*items, in.meter())) {
    if (!item.is_string())
      fail("sequence item ", i, ": expected str instance, ", type_name(item), " found");
    if (i++ != 0) out += self.text();
    out += item.text();
    in.meter().bytes(item.text().size() + self.text().size());
    if (out.size() > kStringBytesMax) fail_limit("a joined string is too long");
  }
  return text_result(in, std::move(out));
}

Value replace(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [old, fresh, most] = bind_plain<3>("replace", arguments, 2);
  return replace_text(in, self, want_text("replace", *old), want_text("replace", *fresh),
                      most != nullptr ? want_integer("replace", *most) : -1);
}

// ---- widths

template <char kAlign>
Value justify(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [width, fill] = bind_plain<2>("ljust", arguments, 1);
  const int64_t size = want_integer("ljust", *width);
  FormatSpec spec;
  if (fill != nullptr) spec.fill = want_text("ljust", *fill);
  if (fill != nullptr && count_chars(spec.fill) != 1)
    fail("the fill character must be exactly one character long");
  if (size <= static_cast<int64_t>(count_chars(self.text()))) return self;
  if (size > static_cast<int64_t>(kStringBytesMax)) fail_limit("a string is too long");
  in.meter().bytes(static_cast<uint64_t>(size));
  spec.width = static_cast<size_t>(size);
  if (kAlign == '^') return text_result(in, center_text(self.text(), spec));
  return text_result(in, pad(self.text(), spec, kAlign));
}

Value zfill(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [width] = bind_plain<1>("zfill", arguments, 1);
  const int64_t size = want_integer("zfill", *width);
  const auto have = static_cast<int64_t>(count_chars(self.text()));
  if (size <= have) return self;
  if (size > static_cast<int64_t>(kStringBytesMax)) fail_limit("a string is too long");
  in.meter().bytes(static_cast<uint64_t>(size));
  std::string out(self.text());
  const bool sign = out.starts_with('+') || out.starts_with('-');
  out.insert(sign, static_cast<size_t>(size - have), '0');
  return text_result(in, std::move(out));
}

Value expandtabs(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [size] = bind("expandtabs", arguments, {"tabsize"}, 0);
  const int64_t tab = size != nullptr ? want_integer("expandtabs", *size) : 8;
  if (tab > 1000) fail_limit("a tab is wider than 1000");
  std::string out;
  int64_t column = 0;
  for (std::string_view c : split_chars(self.text())) {
    in.meter().steps();
    if (c == "\t") {
      const int64_t spaces = tab > 0 ? tab - column % tab : 0;
      in.meter().bytes(static_cast<uint64_t>(spaces));
      out.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
    } else {
      out += c;
      column = c == "\n" || c == "\r" ? 0 : column + 1;
    }
  }
  return text_result(in, std::move(out));
}

template <const char* kName>
Value unsupported(Interpreter&, const Value&, Arguments&) {
  fail("str.", kName, "() is not supported");
}
constexpr char kEncode[] = "encode", kMaketrans[] = "maketrans", kTranslate[] = "translate";

constexpr MethodEntry kMethods[] = {
    {"capitalize", mapped<capitalize>},
    {"casefold", mapped<case_fold>},
    {"center", justify<'^'>},
    {"count", count},
    {"encode", unsupported<kEncode>},
    {"endswith", starts_or_ends<true>},
    {"expandtabs", expandtabs},
    {"find", find<false>},
    {"format", str_format},
    {"format_map", str_format_map},
    {"index", index<false>},
    {"isalnum", all_are<is_alnum>},
    {"isalpha", all_are<is_alpha>},
    {"isascii", isascii},
    {"isdecimal", all_are<is_decimal>},
    {"isdigit", all_are<is_digit>},
    {"isidentifier", isidentifier},
    {"islower", cased<is_lower, is_upper>},
    {"isnumeric", all_are<is_numeric>},
    {"isprintable", isprintable},
    {"isspace", all_are<is_space>},
    {"istitle", istitle},
    {"isupper", cased<is_upper, is_lower>},
    {"join", join},
    {"ljust", justify<'<'>},
    {"lower", mapped<to_lower_case>},
    {"lstrip", strip_some<true, false>},
    {"maketrans", unsupported<kMaketrans>},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace},
    {"rfind", find<true>},
    {"rindex", index<true>},
    {"rjust", justify<'>'>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", strip_some<false, true>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", starts_or_ends<false>},
    {"strip", strip_some<true, true>},
    {"swapcase", mapped<swap_case>},
    {"title", mapped<title_case>},
    {"translate", unsupported<kTranslate>},
    {"upper", mapped<to_upper>},
    {"zfill", zfill},
};

}  // namespace

MethodFunction find_string_method(std::string_view name) {
  const auto* at = std::lower_bound(
      std::begin(kMethods), std::end(kMethods), name,
      [](const MethodEntry& entry, std::string_view want) { return entry.name < want; });
  return at != std::end(kMethods) && at->name == name ? at->call : nullptr;
}

Value replace_text(Interpreter& in, const Value& subject, std::string_view old,
                   std::string_view fresh, int64_t most) {
  const std::string_view text = subject.text();
  in.meter().steps(1 + text.size() / 64);
  std::string out;
  const auto append = [&](std::string_view piece) {
    in.meter().bytes(piece.size());
    out += piece;
    if (out.size() > kStringBytesMax) fail_limit("a string is too long");
  };
  if (old.empty()) {
    // Between all characters.
    for (size_t at = 0; most != 0; --most) {
      in.meter().steps();
      append(fresh);
      if (at >= text.size()) {
        at = text.size();
        return Value::string(std::move(out));
      }
      const size_t begin = at;
      next_char(text, at);
      append(text.substr(begin, at - begin));
      if (most == 1) append(text.substr(at));
    }
    return most == 0 && out.empty() ? subject : Value::string(std::move(out));
  }
  size_t from = 0;
  for (; most != 0; --most) {
    const size_t at = find_text(text, old, from);
    if (at == std::string_view::npos) break;
    append(text.substr(from, at - from));
    append(fresh);
    from = at + old.size();
    in.meter().steps();
  }
  if (from == 0) return subject;
  append(text.substr(from));
  return Value::string(std::move(out));
}

std::string center_text(std::string_view text, const FormatSpec& spec) {
  // Python's rule for which side gets the odd space.
  const size_t size = count_chars(text);
  if (size >= spec.width) return std::string(text);
  const size_t space = spec.width - size;
  const size_t left = space / 2 + (space & spec.width & 1);
  return fill_around(text, spec, left, space - left);
}

}  // namespace sis::text::tmpl
