#include "infer/text/chat_template/json_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/python_text.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

class Writer {
 public:
  Writer(const JsonStyle& style, Meter& meter) : style_(style), meter_(meter) {}

  void value(const Value& value, int level) {
    meter_.steps();
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        return;
      case Kind::kBool:
        out_ += value.as_bool() ? "true" : "false";
        return;
      case Kind::kInt:
        out_ += std::to_string(value.as_int());
        return;
      case Kind::kFloat:
        number(value.as_float());
        return;
      case Kind::kBigInt:
        out_ += value.text();
        return;
      case Kind::kString:
        text(value.text());
        return;
      case Kind::kList:
      case Kind::kTuple:
        list(value.items(), level);
        return;
      case Kind::kDict:
        dict(value.entries(), level);
        return;
      default:
        fail("Object of type ", type_name(value), " is not JSON serializable");
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void number(double value) {
    if (std::isnan(value))
      out_ += "NaN";
    else if (std::isinf(value))
      out_ += value < 0 ? "-Infinity" : "Infinity";
    else
      append_float(out_, value);
  }

  void line(int level) {
    if (!style_.pretty) return;
    out_ += '\n';
    meter_.bytes(style_.indent.size() * static_cast<size_t>(level) + 1);
    for (int i = 0; i < level; ++i) out_ += style_.indent;
  }

  void list(const Value::Items& items, int level) {
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i != 0) separator(style_.item_separator);
      line(level + 1);
      value(items[i], level + 1);
    }
    if (!items.empty()) line(level);
    out_ += ']';
  }

  void dict(const Value::Entries& entries, int level) {
    std::vector<const std::pair<Value, Value>*> order;
    for (const auto& entry : entries) order.push_back(&entry);
    if (style_.sort_keys) sort(order);
    out_ += '{';
    for (size_t i = 0; i < order.size(); ++i) {
      if (i != 0) separator(style_.item_separator);
      line(level + 1);
      key(order[i]->first);
      separator(style_.key_separator);
      value(order[i]->second, level + 1);
    }
    if (!order.empty()) line(level);
    out_ += '}';
  }

  void separator(const std::string& text) {
    meter_.bytes(text.size());
    out_ += text;
  }

  // Keys of one dictionary differ, so any two that Python can order are ordered here.
  void sort(std::vector<const std::pair<Value, Value>*>& order) {
    for (size_t i = 1; i < order.size(); ++i) less(order[i]->first, order[0]->first, meter_);
    meter_.steps(order.size() * 8);
    std::sort(order.begin(), order.end(),
              [](const auto* a, const auto* b) { return compare_keys(a->first, b->first) < 0; });
  }

  void key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        text(key.text());
        return;
      case Kind::kNone:
      case Kind::kBool:
      case Kind::kInt:
      case Kind::kFloat:
      case Kind::kBigInt:
        out_ += '"';
        value(key, 0);
        out_ += '"';
        return;
      default:
        fail("keys must be str, int, float, bool or None, not ", type_name(key));
    }
  }

  void text(std::string_view text) {
    meter_.bytes(text.size());
    out_ += '"';
    size_t plain = 0;  // begin of what needs no escape
    for (size_t i = 0; i < text.size(); ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (c >= 0x20 && c != '"' && c != '\\' && (!style_.ensure_ascii || c < 0x7F)) continue;
      out_ += text.substr(plain, i - plain);
      plain = i + 1;
      if (c >= 0x7F) {
        size_t at = i;
        unit(next_char(text, at));
        i = at - 1;
        plain = at;
        continue;
      }
      static constexpr std::string_view kShort = "\"\\\n\r\t\f\b", kLetters = "\"\\nrtfb";
      if (const size_t known = kShort.find(static_cast<char>(c)); known != std::string_view::npos) {
        out_ += '\\';
        out_ += kLetters[known];
      } else {
        unit(c);
      }
    }
    out_ += text.substr(plain);
    out_ += '"';
  }

  void unit(char32_t c) {
    meter_.bytes(6);
    if (c < 0x10000) {
      out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
      return;
    }
    c -= 0x10000;
    out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + static_cast<uint32_t>(c >> 10),
                        0xDC00 + static_cast<uint32_t>(c & 0x3FF));
  }

  const JsonStyle& style_;
  Meter& meter_;
  std::string out_;
};

class Reader {
 public:
  Reader(std::string_view text, int depth_max, size_t values_max)
      : text_(text), depth_max_(depth_max), values_max_(values_max) {}

  Value document() {
    if (!is_utf8(text_)) fail("not UTF-8");
    Value value = read(0);
    space();
    if (at_ != text_.size()) wrong("the end");
    return value;
  }

 private:
  [[noreturn]] void wrong(std::string_view wanted) const {
    fail("not JSON at byte ", at_, ": expected ", wanted,
         at_ < text_.size() ? concat(", found ", in_quotes(text_.substr(at_, 1)))
                            : ", found the end");
  }
  void space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    space();
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Value read(int depth) {
    if (depth > depth_max_) fail("nested deeper than ", depth_max_, " levels");
    if (++values_ > values_max_) fail("more than ", values_max_, " values");
    space();
    switch (peek()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return Value::string(string());
      case 't':
        if (word("true")) return Value::boolean(true);
        break;
      case 'f':
        if (word("false")) return Value::boolean(false);
        break;
      case 'n':
        if (word("null")) return Value::none();
        break;
      default:
        if (peek() == '-' || (peek() >= '0' && peek() <= '9')) return number();
    }
    wrong("a value");
  }

  Value object(int depth) {
    ++at_;
    Value::Entries entries;
    if (take('}')) return Value::dict({});
    do {
      space();
      if (peek() != '"') wrong("a key");
      Value key = Value::string(string());
      if (!take(':')) wrong("':'");
      entries.emplace_back(std::move(key), read(depth + 1));
    } while (take(','));
    if (!take('}')) wrong("',' or '}'");
    return Value::dict(std::move(entries));
  }

  Value array(int depth) {
    ++at_;
    Value::Items items;
    if (take(']')) return Value::list({});
    do items.push_back(read(depth + 1));
    while (take(','));
    if (!take(']')) wrong("',' or ']'");
    return Value::list(std::move(items));
  }

  uint32_t hex() {
    uint32_t code = 0;
    if (text_.size() - at_ < 4) wrong("four hexadecimal digits");
    const char* begin = text_.data() + at_;
    if (std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4)
      wrong("four hexadecimal digits");
    at_ += 4;
    return code;
  }

  std::string string() {
    std::string out;
    ++at_;
    for (;;) {
      const size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20)
        ++at_;
      out += text_.substr(begin, at_ - begin);
      if (at_ >= text_.size() || static_cast<unsigned char>(text_[at_]) < 0x20)
        wrong("the end of a string");
      if (text_[at_++] == '"') return out;
      const char c = peek();
      ++at_;
      static constexpr std::string_view kLetters = "\"\\/nrtfb", kMeant = "\"\\/\n\r\t\f\b";
      if (const size_t known = kLetters.find(c); known != std::string_view::npos && c != '\0') {
        out += kMeant[known];
      } else if (c == 'u') {
        char32_t code = hex();
        if (code >= 0xD800 && code < 0xDC00 && word("\\u")) {
          const uint32_t low = hex();
          if (low < 0xDC00 || low > 0xDFFF) wrong("the second half of a character");
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        } else if (code >= 0xD800 && code < 0xE000) {
          wrong("a whole character, not half of one");
        }
        append_char(out, code);
      } else {
        --at_;
        wrong("an escape");
      }
    }
  }

  Value number() {
    const size_t begin = at_;
    const auto digits = [&] {
      const size_t first = at_;
      while (peek() >= '0' && peek() <= '9') ++at_;
      if (at_ == first) wrong("a digit");
    };
    if (peek() == '-') ++at_;
    if (peek() == '0')
      ++at_;
    else
      digits();
    bool is_float = false;
    if (peek() == '.') {
      is_float = true;
      ++at_;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      is_float = true;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    const std::string text(text_.substr(begin, at_ - begin));
    if (is_float) return Value::real(std::strtod(text.c_str(), nullptr));
    constexpr size_t kDigitsMax = 4300;
    if (text.size() > kDigitsMax) fail("a number has more than ", kDigitsMax, " digits");
    int64_t value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
    return end.ec == std::errc() ? Value::integer(value) : Value::big_integer(text);
  }

  const std::string_view text_;
  const int depth_max_;
  const size_t values_max_;
  size_t at_ = 0, values_ = 0;
};

}  // namespace

std::string to_json(const Value& value, const JsonStyle& style, Meter& meter) {
  Writer writer(style, meter);
  writer.value(value, 0);
  return writer.take();
}

Value to_json_filter(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [ascii, indent, separators, sort] =
      bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonStyle style;
  style.ensure_ascii = ascii != nullptr && in.is_true(*ascii);
  style.sort_keys = sort != nullptr && in.is_true(*sort);
  if (indent != nullptr && !indent->is(Kind::kNone)) {
    style.pretty = true;
    style.item_separator = ",";
    if (indent->is_string()) {
      style.indent = indent->text();
    } else {
      if (!indent->is_integral())
        fail("tojson wants an integer or text as indent, found ", type_name(*indent));
      if (indent->as_int() > 1000) fail_limit("tojson's indent is above 1000");
      style.indent.assign(static_cast<size_t>(std::max<int64_t>(indent->as_int(), 0)), ' ');
    }
  }
  if (separators != nullptr && !separators->is(Kind::kNone)) {
    const Value::Items both = iterate(*separators, in.meter());
    if (both.size() != 2 || !both[0].is_string() || !both[1].is_string())
      fail("tojson wants two texts as separators");
    style.item_separator = both[0].text();
    style.key_separator = both[1].text();
  }
  return make_string(to_json(subject, style, in.meter()), in.meter());
}

Result<Value> from_json(std::string_view text, std::string_view what, int depth_max,
                        size_t values_max) {
  try {
    return Reader(text, depth_max, values_max).document();
  } catch (const Fault& fault) {
    return Error{fault.code, concat(what, ": ", fault.message)};
  }
}

}  // namespace sis::text::tmpl
