#include "infer/text/chat_template/globals.h"

#include <clocale>
#include <ctime>

#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/operators.h"

namespace sis::text::tmpl {
namespace {

constexpr int64_t kRangeItemsMax = 100'000;
constexpr int64_t kRangeValueMax = int64_t{1} << 53;
constexpr size_t kTimeFormatBytesMax = 1024;
constexpr size_t kTimeBytesMax = 8192;

Value range(Interpreter&, Arguments& arguments) {
  const auto given = bind_plain<3>("range", arguments, 1);
  int64_t numbers[3] = {0, 0, 1};
  for (size_t i = 0; i < 3; ++i) {
    if (given[i] == nullptr) continue;
    want_defined(*given[i]);
    if (!given[i]->is_integral())
      fail("'", type_name(*given[i]), "' object cannot be interpreted as an integer");
    numbers[i] = given[i]->as_int();
    if (numbers[i] > kRangeValueMax || numbers[i] < -kRangeValueMax)
      fail("range() reaches too far: ", numbers[i]);
  }
  if (given[1] == nullptr) std::swap(numbers[0], numbers[1]);
  if (numbers[2] == 0) fail("range() arg 3 must not be zero");
  auto* made = new RangeObject(numbers[0], numbers[1], numbers[2]);
  Value value = Value::adopt(made);
  if (made->size() > kRangeItemsMax)
    fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (", kRangeItemsMax, ").");
  return value;
}

// dict(other, **named)
Value::Entries entries_of(Interpreter& in, std::string_view callee, Arguments& arguments) {
  if (arguments.positional.size() > 1)
    fail(callee, " expected at most 1 argument, got ", arguments.positional.size());
  Value::Entries entries;
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    want_defined(from);
    if (from.is(Kind::kDict)) {
      entries = from.entries();
    } else {
      for (const Value& pair : iterate(from, in.meter())) {
        Value::Items items = iterate(pair, in.meter());
        if (items.size() != 2)
          fail("dictionary update sequence element has length ", items.size(), "; 2 is required");
        entries.emplace_back(std::move(items[0]), std::move(items[1]));
      }
    }
  }
  for (auto& [name, value] : arguments.named) entries.emplace_back(name, std::move(value));
  return entries;
}

Value dict(Interpreter& in, Arguments& arguments) {
  return make_dict(entries_of(in, "dict", arguments), in.meter());
}

Value make_namespace(Interpreter& in, Arguments& arguments) {
  const Value attributes = make_dict(entries_of(in, "namespace", arguments), in.meter());
  auto* made = new NamespaceObject;
  Value value = Value::adopt(made);
  for (const auto& [name, attribute] : attributes.entries())
    if (name.is_string() && name.text().starts_with('_'))
      fail("names of a namespace's attributes may not begin with an underscore, found '",
           name.text(), "'");
  made->entries = attributes.entries();
  in.keep(value);
  return value;
}

Value cycler(Interpreter& in, Arguments& arguments) {
  if (!arguments.named.empty()) fail("cycler() takes no keyword arguments");
  if (arguments.positional.empty()) fail("at least one item has to be provided");
  Value made = Value::adopt(new CyclerObject(
      make_tuple({arguments.positional.begin(), arguments.positional.end()}, in.meter())));
  check_depth(made);
  return made;
}

Value joiner(Interpreter&, Arguments& arguments) {
  const auto [separator] = bind("joiner", arguments, {"sep"}, 0);
  Value made =
      Value::adopt(new JoinerObject(separator != nullptr ? *separator : Value::string(", ")));
  check_depth(made);
  return made;
}

Value raise_exception(Interpreter& in, Arguments& arguments) {
  const auto [message] = bind("raise_exception", arguments, {"message"}, 1);
  throw Fault{in.str(*message)};
}

Value strftime_now(Interpreter& in, Arguments& arguments) {
  const auto [format] = bind("strftime_now", arguments, {"format"}, 1);
  want_defined(*format);
  if (!format->is_string()) fail("strftime_now() wants text, found ", type_name(*format));
  if (format->text().size() > kTimeFormatBytesMax) fail_limit("a time format is too long");
  const LocalTime now = in.now();
  // What Python adds to strftime, or leaves empty for a time without a zone.
  std::string text;
  for (size_t i = 0; i < format->text().size(); ++i) {
    const char c = format->text()[i];
    const char next = i + 1 < format->text().size() ? format->text()[i + 1] : '\0';
    if (c == '\0') fail("embedded null character in a time format");
    if (c != '%') {
      text += c;
    } else if (next == 'f') {
      text += fmt::format("{:06}", now.microseconds);
      ++i;
    } else if (next == 'z' || next == 'Z') {
      ++i;
    } else {
      text += c;
      if (next != '\0') text += next, ++i;
    }
  }
  if (text.empty()) return Value::string("");
  static const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);
  text += '.';  // so that an empty result differs from one that does not fit
  std::string out(kTimeBytesMax, '\0');
  const size_t size = strftime_l(out.data(), out.size(), text.c_str(), &now.time, plain);
  if (size == 0) fail_limit("a formatted time is too long");
  out.resize(size - 1);
  return make_string(std::move(out), in.meter());
}

Value lipsum(Interpreter&, Arguments&) { fail("lipsum() is not supported"); }

constexpr std::pair<std::string_view, GlobalFunction> kGlobals[] = {
    {"range", range},
    {"dict", dict},
    {"namespace", make_namespace},
    {"cycler", cycler},
    {"joiner", joiner},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
    {"lipsum", lipsum},
};

}  // namespace

Value find_global(std::string_view name) {
  for (const auto& [known, function] : kGlobals)
    if (known == name) return Value::adopt(new FunctionObject(known, function));
  return {};
}

}  // namespace sis::text::tmpl
