#include "infer/text/grammar/ebnf.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "infer/text/grammar/char_set.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::grammar {
namespace {

constexpr size_t kBytesMax = 1 << 20;
constexpr int kDepthMax = 100;
constexpr size_t kNameBytesMax = 128;

bool is_name_byte(char c) {
  return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '_';
}

class Reader {
 public:
  Reader(AutomatonBuilder& builder, std::string_view text) : builder_(builder), text_(text) {}

  Result<RuleId> read() {
    skip_space(/*lines=*/true);
    while (!at_end()) {
      SIS_TRY(read_rule());
      skip_space(/*lines=*/true);
    }
    for (const auto& [name, rule] : rules_)
      if (!rule.is_defined) {
        line_ = rule.first_line;
        return wrong(concat("rule ", in_quotes(name), " is not defined"));
      }
    const auto root = rules_.find("root");
    if (root == rules_.end()) return Error{Code::kInvalidArgument, "grammar: no rule named root"};
    return root->second.id;
  }

 private:
  struct Named {
    RuleId id;
    int first_line;
    bool is_defined = false;
  };

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  Error wrong(std::string_view what) const {
    return Error{Code::kInvalidArgument, concat("grammar: line ", line_, ": ", what)};
  }

  void skip_space(bool lines) {
    for (; !at_end(); ++at_) {
      if (peek() == '#') {
        while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
      } else if (peek() == '\n') {
        if (!lines) return;
        ++line_;
      } else if (peek() != ' ' && peek() != '\t' && peek() != '\r') {
        return;
      }
    }
  }

  Result<std::string> read_name() {
    const size_t begin = at_;
    while (is_name_byte(peek())) ++at_;
    if (at_ == begin)
      return wrong(at_end() ? "want a rule, found the end"
                            : concat("want a rule, found ", in_quotes(text_.substr(at_, 1))));
    if (at_ - begin > kNameBytesMax) return wrong("name of a rule is too long");
    return std::string(text_.substr(begin, at_ - begin));
  }

  Named& named(const std::string& name) {
    const auto found = rules_.find(name);
    if (found != rules_.end()) return found->second;
    return rules_.try_emplace(name, Named{builder_.add_rule(name), line_}).first->second;
  }

  Status read_rule() {
    for (const std::string_view sign : {"start:", "?start", "%import", "%ignore"})
      if (text_.substr(at_).starts_with(sign))
        return wrong("this looks like Lark, which is not supported; write GBNF (root ::= ...)");
    SIS_ASSIGN(const std::string name, read_name());
    skip_space(/*lines=*/false);
    if (!take("::="))
      return wrong(concat("want ::= behind the rule's name ", in_quotes(name),
                          peek() == ':' ? " (Lark is not supported; write GBNF)" : ""));
    Named& rule = named(name);
    if (rule.is_defined) return wrong(concat("rule ", in_quotes(name), " is defined twice"));
    rule.is_defined = true;
    const RuleId id = rule.id;
    skip_space(/*lines=*/true);
    SIS_TRY(read_choice(builder_.rule(id).start, builder_.rule(id).end, /*depth=*/0));
    if (!at_end() && peek() != '\n')
      return wrong(concat("want the end of the rule, found ", in_quotes(text_.substr(at_, 1))));
    return builder_.effort().status();
  }

  Status read_choice(StateId from, StateId to, int depth) {
    if (depth > kDepthMax) return wrong("groups nested too deep");
    for (;;) {
      SIS_TRY(read_sequence(from, to, depth));
      if (!take("|")) return {};
      skip_space(/*lines=*/true);
    }
  }

  Status read_sequence(StateId from, StateId to, int depth) {
    const bool in_group = depth > 0;
    StateId at = from;
    for (;;) {
      skip_space(in_group);
      if (at_end() || peek() == '|' || peek() == ')' || peek() == '\n') break;
      const StateId next = builder_.add_state();
      SIS_TRY(read_item(at, next, depth));
      at = next;
    }
    builder_.empty(at, to);
    return {};
  }

  // One thing and how often it comes.
  Status read_item(StateId from, StateId to, int depth) {
    const StateId begin = builder_.add_state(), end = builder_.add_state();
    const int first_line = line_;
    SIS_TRY(read_atom(begin, end, depth));
    skip_space(/*lines=*/depth > 0);
    uint32_t min = 1, max = 1;
    if (take("*")) {
      min = 0, max = kUnbounded;
    } else if (take("+")) {
      max = kUnbounded;
    } else if (take("?")) {
      min = 0;
    } else if (peek() == '{') {
      SIS_TRY(read_count(min, max));
    }
    if (min > 1 || (max != 1 && max != kUnbounded)) {
      const RuleId rule = builder_.add_rule(concat("group in line ", first_line), begin, end);
      builder_.call(from, builder_.add_repeat(rule, min, max), to);
      return {};
    }
    builder_.empty(from, begin);
    if (min == 0) builder_.empty(begin, end);
    if (max == kUnbounded) builder_.empty(end, begin);
    builder_.empty(end, to);
    return {};
  }

  Status read_count(uint32_t& min, uint32_t& max) {
    take("{");
    const auto number = [&](uint32_t& value) {
      uint64_t n = 0;
      const size_t begin = at_;
      for (; peek() >= '0' && peek() <= '9'; ++at_)
        n = std::min<uint64_t>(n * 10 + static_cast<uint64_t>(peek() - '0'), kRepeatMax + 1);
      value = static_cast<uint32_t>(n);
      return at_ > begin;
    };
    skip_space(false);
    if (!number(min)) return wrong("want a number behind {");
    max = min;
    skip_space(false);
    if (take(",")) {
      skip_space(false);
      if (!number(max)) max = kUnbounded;
      skip_space(false);
    }
    if (!take("}")) return wrong("want } behind the count");
    if (min > kRepeatMax || (max > kRepeatMax && max != kUnbounded))
      return wrong(concat("count above ", kRepeatMax));
    if (max < min) return wrong("count with its maximum below its minimum");
    return {};
  }

  Status read_atom(StateId from, StateId to, int depth) {
    if (take("\"")) {
      std::string literal;
      while (!take("\"")) {
        if (at_end() || peek() == '\n') return wrong("text without its closing quote");
        SIS_ASSIGN(const char32_t c, read_char());
        tok::append_utf8(literal, c);
      }
      builder_.literal(from, literal, to);
      return {};
    }
    if (take("[")) {
      const bool negated = take("^");
      std::vector<CharSet::Range> ranges;
      while (!take("]")) {
        if (at_end() || peek() == '\n') return wrong("class without its ]");
        SIS_ASSIGN(const char32_t low, read_char());
        char32_t high = low;
        if (peek() == '-' && !text_.substr(at_).starts_with("-]")) {
          take("-");
          if (at_end()) return wrong("class without its ]");
          SIS_ASSIGN(high, read_char());
        }
        if (high < low) return wrong("range with its end first");
        ranges.push_back({low, high});
      }
      // In order a set grows at its end, which is cheap however many there are.
      std::sort(ranges.begin(), ranges.end(),
                [](const auto& a, const auto& b) { return a.low < b.low; });
      CharSet set;
      for (const auto& range : ranges) set.add(range.low, range.high);
      add_char(builder_, from, negated ? set.negated() : set, Spelling::kUtf8, to);
      return {};
    }
    if (take(".")) {
      add_char(builder_, from, CharSet::all(), Spelling::kUtf8, to);
      return {};
    }
    if (take("(")) {
      skip_space(/*lines=*/true);
      SIS_TRY(read_choice(from, to, depth + 1));
      if (!take(")")) return wrong("missing )");
      return {};
    }
    SIS_ASSIGN(const std::string name, read_name());
    builder_.call(from, named(name).id, to);
    return {};
  }

  Result<char32_t> read_char() {
    if (!take("\\")) {
      size_t bytes = 0;
      const char32_t c = tok::decode_utf8(text_, at_, bytes);
      at_ += bytes;
      return c;
    }
    const char c = peek();
    if (at_end()) return wrong("\\ without what it escapes");
    ++at_;
    switch (c) {
      case 'n':
        return U'\n';
      case 'r':
        return U'\r';
      case 't':
        return U'\t';
      case 'x':
        return read_hex(2);
      case 'u':
        return read_hex(4);
      case 'U':
        return read_hex(8);
      default:
        if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'))
          return wrong(concat("\\", std::string(1, c), " is not known"));
        --at_;
        size_t bytes = 0;
        const char32_t escaped = tok::decode_utf8(text_, at_, bytes);
        at_ += bytes;
        return escaped;
    }
  }

  Result<char32_t> read_hex(int digits) {
    uint64_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      if (c >= '0' && c <= '9')
        value = value * 16 + static_cast<uint64_t>(c - '0');
      else if ((c | 32) >= 'a' && (c | 32) <= 'f')
        value = value * 16 + static_cast<uint64_t>((c | 32) - 'a' + 10);
      else
        return wrong(concat("want ", digits, " hexadecimal digits"));
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
      return wrong("no Unicode character");
    return static_cast<char32_t>(value);
  }

  AutomatonBuilder& builder_;
  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  std::unordered_map<std::string, Named> rules_;
};

}  // namespace

Result<RuleId> add_ebnf(AutomatonBuilder& builder, std::string_view rules) {
  if (rules.size() > kBytesMax)
    return Error{Code::kInvalidArgument,
                 concat("grammar: ", rules.size(), " bytes, want at most ", kBytesMax)};
  if (!is_utf8(rules)) return Error{Code::kInvalidArgument, "grammar: not UTF-8"};
  return Reader(builder, rules).read();
}

}  // namespace sis::text::grammar
