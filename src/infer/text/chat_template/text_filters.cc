// Filters on text.
#include "infer/text/chat_template/filters.h"
#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/methods.h"
#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/percent_format.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

Value as_text(Interpreter& in, const Value& subject) {
  return subject.is_string() ? subject : Value::string(in.str(subject));
}

int64_t want_integer(std::string_view filter, const Value& value) {
  want_defined(value);
  if (!value.is_integral()) fail(filter, " wants an integer, found ", type_name(value));
  return value.as_int();
}

template <std::string (*kMap)(std::string_view)>
Value mapped(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("filter", arguments);
  const Value text = as_text(in, subject);
  in.meter().steps(1 + text.text().size() / 16);
  return make_string(kMap(text.text()), in.meter());
}

std::string title(std::string_view text) {
  // Words end at spaces, hyphens and opening brackets.
  std::string out;
  const auto separates = [](char32_t c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
  };
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const bool gap = separates(next_char(text, at));
    const size_t first_end = at;
    while (at < text.size()) {
      size_t next = at;
      if (separates(next_char(text, next)) != gap) break;
      at = next;
    }
    if (gap)
      out += text.substr(begin, at - begin);
    else
      out += to_upper(text.substr(begin, first_end - begin)) +
             to_lower_case(text.substr(first_end, at - first_end));
  }
  return out;
}

Value string(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("string", arguments);
  return as_text(in, subject);
}

Value trim(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [chars] = bind("trim", arguments, {"chars"}, 0);
  Arguments strip;
  if (chars != nullptr) strip.positional.push_back(*chars);
  return find_string_method("strip")(in, as_text(in, subject), strip);
}

Value replace(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [old, fresh, most] = bind("replace", arguments, {"old", "new", "count"}, 2);
  const bool all = most == nullptr || most->is(Kind::kNone);
  return replace_text(in, as_text(in, subject), in.str(*old), in.str(*fresh),
                      all ? -1 : want_integer("replace", *most));
}

Value escape(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("escape", arguments);
  const Value text = as_text(in, subject);
  std::string out;
  for (char c : text.text()) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return make_string(std::move(out), in.meter());
}

Value format(Interpreter& in, const Value& subject, Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty())
    fail("can't handle positional and keyword arguments at the same time");
  const Value text = as_text(in, subject);
  if (arguments.named.empty())
    return percent_format(
        text.text(),
        make_tuple({arguments.positional.begin(), arguments.positional.end()}, in.meter()),
        in.meter());
  return percent_format(text.text(),
                        make_dict({arguments.named.begin(), arguments.named.end()}, in.meter()),
                        in.meter());
}

Value indent(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [width, first, blank] = bind("indent", arguments, {"width", "first", "blank"}, 0);
  want_defined(subject);
  if (!subject.is_string()) fail("indent wants text, found ", type_name(subject));
  std::string space(4, ' ');
  if (width != nullptr && width->is_string()) {
    space = width->text();
  } else if (width != nullptr) {
    const int64_t count = want_integer("indent", *width);
    if (count > 10'000) fail_limit("indent is wider than 10000");
    space.assign(static_cast<size_t>(std::max<int64_t>(count, 0)), ' ');
  }
  const bool with_first = first != nullptr && in.is_true(*first);
  const bool with_blank = blank != nullptr && in.is_true(*blank);
  const std::string text = std::string(subject.text()) + "\n";
  const auto lines = split_lines(text);
  std::string out = with_first ? space : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i != 0) {
      out += '\n';
      if (with_blank || !lines[i].empty()) out += space;
    }
    out += lines[i];
    in.meter().bytes(space.size() + lines[i].size());
    if (out.size() > kStringBytesMax) fail_limit("a string is too long");
  }
  return Value::string(std::move(out));
}

Value truncate(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [length, kill, end, leeway] =
      bind("truncate", arguments, {"length", "killwords", "end", "leeway"}, 0);
  const int64_t most = length != nullptr ? want_integer("truncate", *length) : 255;
  const bool no_leeway = leeway == nullptr || leeway->is(Kind::kNone);
  const int64_t slack = no_leeway ? 5 : want_integer("truncate", *leeway);
  if (end != nullptr && !end->is_string()) fail("truncate wants text as its end");
  const std::string_view tail = end != nullptr ? end->text() : "...";
  const auto tail_size = static_cast<int64_t>(count_chars(tail));
  if (most < tail_size) fail("expected length >= ", tail_size, ", got ", most);
  if (slack < 0) fail("expected leeway >= 0, got ", slack);
  if (sis::text::tmpl::length(subject) <= most + std::min<int64_t>(slack, 1 << 30)) return subject;
  if (!subject.is_string()) fail("truncate wants text, found ", type_name(subject));
  std::string_view kept =
      subject.text().substr(0, byte_of_char(subject.text(), static_cast<size_t>(most - tail_size)));
  if (kill == nullptr || !in.is_true(*kill))
    if (const size_t space = kept.rfind(' '); space != std::string_view::npos)
      kept = kept.substr(0, space);
  return make_string(concat(kept, tail), in.meter());
}

Value word_count(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("wordcount", arguments);
  const Value text = as_text(in, subject);
  in.meter().steps(1 + text.text().size() / 16);
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.text().size();) {
    const bool word = is_word(next_char(text.text(), at));
    words += word && !inside;
    inside = word;
  }
  return Value::integer(words);
}

Value center(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [width] = bind("center", arguments, {"width"}, 0);
  Arguments call;
  call.positional.push_back(width != nullptr ? *width : Value::integer(80));
  return find_string_method("center")(in, as_text(in, subject), call);
}

constexpr FilterEntry kFilters[] = {
    {"capitalize", mapped<capitalize>},
    {"center", center},
    {"e", escape},
    {"escape", escape},
    {"forceescape", escape},
    {"format", format},
    {"indent", indent},
    {"lower", mapped<to_lower_case>},
    {"replace", replace},
    {"safe", string},
    {"string", string},
    {"title", mapped<title>},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", mapped<to_upper>},
    {"wordcount", word_count},
};

}  // namespace

const FilterEntry* find_text_filter(std::string_view name) {
  for (const FilterEntry& filter : kFilters)
    if (filter.name == name) return &filter;
  return nullptr;
}

}  // namespace sis::text::tmpl
