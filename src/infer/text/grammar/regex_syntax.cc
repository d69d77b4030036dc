#include "infer/text/grammar/regex_syntax.h"

#include <algorithm>

#include "base/strings.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::grammar {
namespace {

using Kind = Regex::Kind;

constexpr size_t kPatternBytesMax = 64 << 10;
constexpr int kDepthMax = 100;

const CharSet kDigits{{'0', '9'}};
const CharSet kWord{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CharSet kSpace{{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                     {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                     {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
// Without ECMA-262's U+2028 and U+2029: `.` would not take CharClass::kPlain any more.
const CharSet kLineEnds{{'\n', '\n'}, {'\r', '\r'}};

Regex of_chars(CharSet chars) { return {.kind = Kind::kChar, .chars = std::move(chars)}; }

class Parser {
 public:
  explicit Parser(std::string_view pattern) : pattern_(pattern) {}

  Result<Regex> parse() {
    SIS_ASSIGN(Regex out, read_choice(0));
    if (!at_end()) return wrong("unmatched )");
    return out;
  }

 private:
  bool at_end() const { return at_ == pattern_.size(); }
  char peek() const { return at_end() ? '\0' : pattern_[at_]; }
  bool take(std::string_view text) {
    if (!pattern_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  char32_t take_char() {
    size_t bytes = 0;
    const char32_t c = tok::decode_utf8(pattern_, at_, bytes);
    at_ += bytes;
    return c;
  }
  Error wrong(std::string_view what) const {
    return Error{Code::kInvalidArgument,
                 concat("pattern ", in_quotes(pattern_), ": ", what, " at byte ", at_)};
  }

  // Up to the end or the ) of the group.
  Result<Regex> read_choice(int depth) {
    if (depth > kDepthMax) return wrong("groups nested too deep");
    Regex out{.kind = Kind::kChoice};
    do {
      Regex sequence{.kind = Kind::kSequence};
      while (!at_end() && peek() != '|' && peek() != ')') {
        SIS_ASSIGN(Regex atom, read_atom(depth));
        SIS_TRY(read_count(atom));
        sequence.parts.push_back(std::move(atom));
      }
      out.parts.push_back(std::move(sequence));
    } while (take("|"));
    return out;
  }

  Result<Regex> read_atom(int depth) {
    switch (peek()) {
      case '(':
        return read_group(depth);
      case '[':
        return read_class();
      case '^':
        ++at_;
        return Regex{.kind = Kind::kBegin};
      case '$':
        ++at_;
        return Regex{.kind = Kind::kEnd};
      case '.':
        ++at_;
        return of_chars(kLineEnds.negated());
      case '*':
      case '+':
      case '?':
        return wrong("nothing to repeat");
      case '\\': {
        CharSet chars;
        SIS_TRY(read_escape(chars, /*in_class=*/false));
        return of_chars(std::move(chars));
      }
      default: {
        CharSet one;
        one.add(take_char());
        return of_chars(std::move(one));
      }
    }
  }

  Result<Regex> read_group(int depth) {
    for (const std::string_view kind : {"(?=", "(?!", "(?<=", "(?<!"})
      if (pattern_.substr(at_).starts_with(kind)) return wrong("look-around is not supported");
    take("(");
    if (take("?:")) {
    } else if (take("?<") || take("?P<")) {
      const size_t end = pattern_.find('>', at_);
      if (end == std::string_view::npos) return wrong("group name without end");
      at_ = end + 1;
    } else if (peek() == '?') {
      return wrong("flags and this kind of group are not supported");
    }
    SIS_ASSIGN(Regex inside, read_choice(depth + 1));
    if (!take(")")) return wrong("missing )");
    return inside;
  }

  // The quantifier behind `atom`, if there is one.
  Status read_count(Regex& atom) {
    uint32_t min = 1, max = 1;
    if (take("*")) {
      min = 0, max = kUnbounded;
    } else if (take("+")) {
      max = kUnbounded;
    } else if (take("?")) {
      min = 0;
    } else if (const size_t before = at_; take("{")) {
      const auto number = [&](uint32_t& value) {
        uint64_t n = 0;
        const size_t begin = at_;
        for (; peek() >= '0' && peek() <= '9'; ++at_)
          n = std::min<uint64_t>(n * 10 + static_cast<uint64_t>(peek() - '0'), kRepeatMax + 1);
        value = static_cast<uint32_t>(n);
        return at_ > begin;
      };
      const bool has_min = number(min);
      max = min;
      if (has_min && take(",") && !number(max)) max = kUnbounded;
      if (!has_min || !take("}")) {  // a brace that is no count stands for itself
        at_ = before;
        return {};
      }
      if (min > kRepeatMax || (max > kRepeatMax && max != kUnbounded))
        return wrong(concat("count above ", kRepeatMax));
      if (max < min) return wrong("count with its maximum below its minimum");
    } else {
      return {};
    }
    take("?");  // lazy: the same texts match
    if (peek() == '+' || peek() == '*') return wrong("nothing to repeat");
    if (atom.kind == Kind::kBegin || atom.kind == Kind::kEnd) return wrong("repeated anchor");
    Regex repeated{.kind = Kind::kRepeat, .min = min, .max = max};
    repeated.parts.push_back(std::move(atom));
    atom = std::move(repeated);
    return {};
  }

  Result<uint32_t> read_hex(size_t digits_min, size_t digits_max) {
    uint32_t value = 0;
    size_t digits = 0;
    for (; digits < digits_max; ++digits, ++at_) {
      const char c = peek();
      if (c >= '0' && c <= '9')
        value = value * 16 + static_cast<uint32_t>(c - '0');
      else if ((c | 32) >= 'a' && (c | 32) <= 'f')
        value = value * 16 + static_cast<uint32_t>((c | 32) - 'a' + 10);
      else
        break;
    }
    if (digits < digits_min) return wrong("want a hexadecimal digit");
    return value;
  }

  Status read_escape(CharSet& out, bool in_class) {
    take("\\");
    if (at_end()) return wrong("\\ without what it escapes");
    const char c = peek();
    ++at_;
    switch (c) {
      case 'd':
        out.add(kDigits);
        return {};
      case 'D':
        out.add(kDigits.negated());
        return {};
      case 'w':
        out.add(kWord);
        return {};
      case 'W':
        out.add(kWord.negated());
        return {};
      case 's':
        out.add(kSpace);
        return {};
      case 'S':
        out.add(kSpace.negated());
        return {};
      case 't':
        out.add('\t');
        return {};
      case 'n':
        out.add('\n');
        return {};
      case 'r':
        out.add('\r');
        return {};
      case 'f':
        out.add('\f');
        return {};
      case 'v':
        out.add('\v');
        return {};
      case '0':
        out.add(U'\0');
        return {};
      case 'b':
        if (!in_class) return wrong("\\b is not supported");
        out.add('\b');
        return {};
      case 'x':
      case 'u': {
        const bool braces = take("{");
        uint32_t value = 0;
        if (braces) {
          SIS_ASSIGN(value, read_hex(1, 6));
          if (!take("}")) return wrong("want } after the code point");
        } else {
          SIS_ASSIGN(value, read_hex(c == 'x' ? 2 : 4, c == 'x' ? 2 : 4));
          if (value >= 0xD800 && value < 0xDC00 && take("\\u")) {
            SIS_ASSIGN(const uint32_t low, read_hex(4, 4));
            if (low < 0xDC00 || low > 0xDFFF) return wrong("want a low surrogate");
            value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
          }
        }
        if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
          return wrong("no Unicode character");
        out.add(value);
        return {};
      }
      default:
        break;
    }
    if (static_cast<uint8_t>(c) >= 0x80) {
      --at_;
      out.add(take_char());
      return {};
    }
    if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z')) {
      --at_;
      return wrong(concat("\\", std::string(1, c), " is not supported"));
    }
    out.add(static_cast<char32_t>(c));
    return {};
  }

  Result<Regex> read_class() {
    take("[");
    const bool negated = take("^");
    CharSet chars;
    while (!take("]")) {
      if (at_end()) return wrong("missing ]");
      SIS_ASSIGN(const CharSet first, read_class_part());
      const bool single =
          first.ranges().size() == 1 && first.ranges()[0].low == first.ranges()[0].high;
      if (peek() != '-' || pattern_.substr(at_).starts_with("-]")) {
        chars.add(first);
        continue;
      }
      take("-");
      if (at_end()) return wrong("missing ]");
      SIS_ASSIGN(const CharSet last, read_class_part());
      const bool last_single =
          last.ranges().size() == 1 && last.ranges()[0].low == last.ranges()[0].high;
      if (!single || !last_single) {  // as in [\w-.]: the three stand for themselves
        chars.add(first);
        chars.add('-');
        chars.add(last);
        continue;
      }
      if (last.ranges()[0].low < first.ranges()[0].low) return wrong("range with its end first");
      chars.add(first.ranges()[0].low, last.ranges()[0].low);
    }
    return of_chars(negated ? chars.negated() : chars);
  }

  Result<CharSet> read_class_part() {
    CharSet out;
    if (peek() == '\\') {
      SIS_TRY(read_escape(out, /*in_class=*/true));
    } else {
      if (pattern_.substr(at_).starts_with("[:")) return wrong("[:name:] is not supported");
      out.add(take_char());
    }
    return out;
  }

  std::string_view pattern_;
  size_t at_ = 0;
};

// What an end of the text that a part stands at means for it.
enum class Side : uint8_t {
  kInside,  // it stands at none: no anchors here
  kClosed,  // nothing comes before or after it
  kOpen,    // anything may, unless an anchor says otherwise
};

// Takes the anchors out, and puts in what may stand around the match.
class AnchorResolver {
 public:
  explicit AnchorResolver(std::string_view pattern) : pattern_(pattern) {}

  Status resolve(Regex& regex, Side left, Side right) const {
    switch (regex.kind) {
      case Kind::kChar:
        return {};
      case Kind::kChoice:
        for (Regex& part : regex.parts) SIS_TRY(resolve(part, left, right));
        return {};
      case Kind::kRepeat:
        return resolve(regex.parts[0], Side::kInside, Side::kInside);
      case Kind::kSequence:
        return resolve_sequence(regex.parts, left, right);
      case Kind::kBegin:
      case Kind::kEnd:
        break;
    }
    return Error{Code::kInvalidArgument,
                 concat("pattern ", in_quotes(pattern_),
                        ": ^ and $ are supported at the ends of alternatives only")};
  }

 private:
  static Regex anything() {
    Regex out{.kind = Kind::kRepeat, .max = kUnbounded};
    out.parts.push_back(of_chars(CharSet::all()));
    return out;
  }

  Status resolve_sequence(std::vector<Regex>& parts, Side left, Side right) const {
    while (left != Side::kInside && !parts.empty() && parts.front().kind == Kind::kBegin) {
      parts.erase(parts.begin());
      left = Side::kClosed;
    }
    while (right != Side::kInside && !parts.empty() && parts.back().kind == Kind::kEnd) {
      parts.pop_back();
      right = Side::kClosed;
    }
    // Groups at the ends have anchors of their own.
    const bool into_first = !parts.empty() && parts.front().kind == Kind::kChoice;
    const bool into_last = !parts.empty() && parts.back().kind == Kind::kChoice;
    for (size_t i = 0; i < parts.size(); ++i)
      SIS_TRY(resolve(parts[i], i == 0 && into_first ? left : Side::kInside,
                      i + 1 == parts.size() && into_last ? right : Side::kInside));
    if (left == Side::kOpen && !into_first) parts.insert(parts.begin(), anything());
    if (right == Side::kOpen && !into_last) parts.push_back(anything());
    return {};
  }

  std::string_view pattern_;
};

// Any single character of these classes matches.
CharClassSet classes_of(const Regex& regex) {
  CharClassSet out = 0;
  if (regex.kind == Kind::kChar) out = classes_in(regex.chars);
  if (regex.kind == Kind::kChoice)
    for (const Regex& part : regex.parts) out |= classes_of(part);
  if (regex.kind == Kind::kSequence && regex.parts.size() == 1) out = classes_of(regex.parts[0]);
  return out;
}

}  // namespace

Result<Regex> parse_regex(std::string_view pattern, RegexUse use) {
  if (pattern.size() > kPatternBytesMax)
    return Error{Code::kInvalidArgument,
                 concat("pattern: ", pattern.size(), " bytes, want at most ", kPatternBytesMax)};
  if (!is_utf8(pattern)) return Error{Code::kInvalidArgument, "pattern: not UTF-8"};
  SIS_ASSIGN(Regex regex, Parser(pattern).parse());
  const Side side = use == RegexUse::kSearch ? Side::kOpen : Side::kClosed;
  SIS_TRY(AnchorResolver(pattern).resolve(regex, side, side));
  return regex;
}

void add_regex(AutomatonBuilder& builder, StateId from, const Regex& regex, Spelling spelling,
               StateId to, std::string_view name) {
  switch (regex.kind) {
    case Kind::kChar:
      return add_char(builder, from, regex.chars, spelling, to);
    case Kind::kSequence: {
      for (size_t i = 0; i < regex.parts.size(); ++i) {
        const StateId next = i + 1 < regex.parts.size() ? builder.add_state() : to;
        add_regex(builder, from, regex.parts[i], spelling, next, name);
        from = next;
      }
      if (regex.parts.empty()) builder.empty(from, to);
      return;
    }
    case Kind::kChoice:
      for (const Regex& part : regex.parts) add_regex(builder, from, part, spelling, to, name);
      return;
    case Kind::kRepeat: {
      const Regex& body = regex.parts[0];
      // Masks of a rule that takes whole classes of characters are quick to make.
      const CharClassSet takes = classes_of(body);
      if (takes == 0 && regex.min <= 1 && (regex.max == 1 || regex.max == kUnbounded)) {
        // `from` may have other ways out and in, so the loop has states of its own.
        const StateId begin = builder.add_state(), end = builder.add_state();
        builder.empty(from, begin);
        add_regex(builder, begin, body, spelling, end, name);
        if (regex.min == 0) builder.empty(begin, end);
        if (regex.max == kUnbounded) builder.empty(end, begin);
        builder.empty(end, to);
        return;
      }
      const RuleId rule = builder.add_rule(std::string(name));
      builder.rule(rule).takes = takes;
      add_regex(builder, builder.rule(rule).start, body, spelling, builder.rule(rule).end, name);
      builder.call(from, builder.add_repeat(rule, regex.min, regex.max), to);
      return;
    }
    case Kind::kBegin:
    case Kind::kEnd:
      return;  // parsing took them out
  }
}

}  // namespace sis::text::grammar
