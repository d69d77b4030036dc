#include "infer/text/grammar/char_set.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::grammar {
namespace {

constexpr char32_t kLast = 0x10FFFF;
constexpr std::string_view kShortEscapes = "\b\f\n\r\t\"\\";
constexpr std::string_view kShortLetters = "bfnrt\"\\";

// Adds ranges of characters as byte sequences that end in one state; what sequences end in is
// shared.
class Utf8Writer {
 public:
  Utf8Writer(AutomatonBuilder& builder, StateId from, StateId to)
      : builder_(builder), from_(from), tails_{to, UINT32_MAX, UINT32_MAX, UINT32_MAX} {}

  void add(char32_t low, char32_t high) {
    for (const auto& [begin, end] :
         {std::pair<char32_t, char32_t>{0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xFFFF}, {0x10000, kLast}})
      if (low <= end && high >= begin) add_of_length(std::max(low, begin), std::min(high, end));
  }

 private:
  // Both are written with the same number of bytes.
  void add_of_length(char32_t low, char32_t high) {
    if (high < 0x80) {
      builder_.bytes(from_, static_cast<uint8_t>(low), static_cast<uint8_t>(high), tails_[0]);
      return;
    }
    // Cut until only the last bytes differ over their whole ranges.
    for (int i = 1; i < 4; ++i) {
      const char32_t mask = (char32_t{1} << (6 * i)) - 1;
      if ((low & ~mask) == (high & ~mask)) continue;
      if ((low & mask) != 0) {
        add_of_length(low, low | mask);
        add_of_length((low | mask) + 1, high);
        return;
      }
      if ((high & mask) != mask) {
        add_of_length(low, (high & ~mask) - 1);
        add_of_length(high & ~mask, high);
        return;
      }
    }
    char first[4], last[4];
    const size_t count = tok::encode_utf8(low, first);
    tok::encode_utf8(high, last);
    StateId at = from_;
    for (size_t i = 0; i < count; ++i) {
      const auto begin = static_cast<uint8_t>(first[i]), end = static_cast<uint8_t>(last[i]);
      // The rest takes any continuation bytes.
      bool rest_is_any = true;
      for (size_t k = i + 1; k < count; ++k)
        rest_is_any &=
            static_cast<uint8_t>(first[k]) == 0x80 && static_cast<uint8_t>(last[k]) == 0xBF;
      const StateId next = rest_is_any ? tail(count - 1 - i) : builder_.add_state();
      builder_.bytes(at, begin, end, next);
      if (rest_is_any) return;
      at = next;
    }
  }

  // The state that any `bytes` continuation bytes lead on from.
  StateId tail(size_t bytes) {
    if (tails_[bytes] == UINT32_MAX) {
      tails_[bytes] = builder_.add_state();
      builder_.bytes(tails_[bytes], 0x80, 0xBF, tail(bytes - 1));
    }
    return tails_[bytes];
  }

  AutomatonBuilder& builder_;
  const StateId from_;
  std::array<StateId, 4> tails_;
};

}  // namespace

// --- CharSet ---

void CharSet::add(char32_t low, char32_t high) {
  high = std::min(high, kLast);
  if (low > high) return;
  if (low <= 0xDFFF && high >= 0xD800) {
    if (low < 0xD800) add(low, 0xD7FF);
    if (high > 0xDFFF) add(0xE000, high);
    return;
  }
  const auto begin = std::lower_bound(ranges_.begin(), ranges_.end(), low,
                                      [](const Range& r, char32_t c) { return r.high + 1 < c; });
  auto end = begin;
  while (end != ranges_.end() && end->low <= high + 1) {
    low = std::min(low, end->low);
    high = std::max(high, end->high);
    ++end;
  }
  const auto at = ranges_.erase(begin, end);
  ranges_.insert(at, {low, high});
}

void CharSet::add(const CharSet& other) {
  for (const Range& range : other.ranges_) add(range.low, range.high);
}

CharSet CharSet::negated() const {
  CharSet out;
  char32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.low > next) out.add(next, range.low - 1);
    next = range.high + 1;
  }
  out.add(next, kLast);
  return out;
}

CharSet CharSet::without(const CharSet& other) const {
  CharSet both = negated();
  both.add(other);
  return both.negated();
}

bool CharSet::contains(char32_t c) const {
  const auto at = std::lower_bound(ranges_.begin(), ranges_.end(), c,
                                   [](const Range& r, char32_t value) { return r.high < value; });
  return at != ranges_.end() && at->low <= c;
}

CharClassSet classes_in(const CharSet& set) {
  CharClassSet out = 0;
  for (const CharClass one : kCharClasses) {
    bool is_part = true;
    for (char32_t c = 0; c < 0x80 && is_part; ++c)
      is_part = !is_byte_of(one, static_cast<uint8_t>(c)) || set.contains(c);
    if (is_part && is_byte_of(one, 0x80)) is_part = CharSet{{0x80, kLast}}.without(set).empty();
    if (is_part) out |= bit_of(one);
  }
  return out;
}

// --- writing ---

void add_char(AutomatonBuilder& builder, StateId from, const CharSet& set, Spelling spelling,
              StateId to) {
  Utf8Writer writer(builder, from, to);
  if (spelling == Spelling::kUtf8) {
    for (const CharSet::Range& range : set.ranges()) writer.add(range.low, range.high);
    return;
  }
  static const CharSet kEscaped{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
  const CharSet plain = set.without(kEscaped);
  for (const CharSet::Range& range : plain.ranges()) writer.add(range.low, range.high);
  std::vector<std::string> escapes;
  for (const CharSet::Range& range : kEscaped.ranges())
    for (char32_t c = range.low; c <= range.high; ++c)
      if (set.contains(c)) escapes.push_back(json_escaped(std::string(1, static_cast<char>(c))));
  if (!escapes.empty()) builder.literals(from, std::move(escapes), to);
}

RuleId add_json_char_rule(AutomatonBuilder& builder) {
  const RuleId id = builder.add_rule("string character");
  builder.rule(id).takes = classes_in(CharSet::all());
  const StateId start = builder.rule(id).start, end = builder.rule(id).end;
  add_char(builder, start, CharSet{{0x20, kLast}}.without({{'"', '"'}, {'\\', '\\'}}),
           Spelling::kUtf8, end);
  const StateId escape = builder.add_state();
  builder.bytes(start, '\\', '\\', escape);
  for (const char letter : std::string_view("\"\\/bfnrt"))
    builder.bytes(escape, static_cast<uint8_t>(letter), static_cast<uint8_t>(letter), end);
  // \uXXXX: surrogates in pairs only.
  const auto add_bytes = [&](StateId from, std::string_view ranges, StateId to) {
    for (size_t i = 0; i < ranges.size(); i += 2)
      builder.bytes(from, static_cast<uint8_t>(ranges[i]), static_cast<uint8_t>(ranges[i + 1]), to);
  };
  const auto hex_digits = [&](int count, StateId to) {  // the state that they lead on from
    for (; count > 0; --count) {
      const StateId from = builder.add_state();
      add_bytes(from, "09AFaf", to);
      to = from;
    }
    return to;
  };
  const StateId digits = builder.add_state(), after_d = builder.add_state();
  builder.bytes(escape, 'u', 'u', digits);
  add_bytes(digits, "09ACacEFef", hex_digits(3, end));
  add_bytes(digits, "DDdd", after_d);
  add_bytes(after_d, "07", hex_digits(2, end));
  const StateId low_surrogate = builder.add_state(), low_digits = builder.add_state(),
                low_after_d = builder.add_state();
  add_bytes(after_d, "89ABab", hex_digits(2, low_surrogate));
  builder.literal(low_surrogate, "\\u", low_digits);
  add_bytes(low_digits, "DDdd", low_after_d);
  add_bytes(low_after_d, "CFcf", hex_digits(2, end));
  return id;
}

std::string json_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (const size_t at = kShortEscapes.find(c); at != std::string_view::npos) {
      out += '\\';
      out += kShortLetters[at];
    } else if (static_cast<uint8_t>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out;
}

std::u32string code_points(std::string_view text) {
  std::u32string out;
  for (size_t at = 0, bytes = 0; at < text.size(); at += bytes)
    out += tok::decode_utf8(text, at, bytes);
  return out;
}

}  // namespace sis::text::grammar
