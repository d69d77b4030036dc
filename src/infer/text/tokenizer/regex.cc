#include "infer/text/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <span>

#include "base/check.h"
#include "base/strings.h"
#include "infer/text/tokenizer/recent_characters.h"

namespace sis::text::tok {
namespace {

constexpr size_t kPatternBytesMax = 16'384;
// Backtracking steps before a search is given up; the patterns in use need a handful per character.
constexpr uint32_t kMatchLimit = 10'000'000;

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

// Members to put into a class, as \x{..}-\x{..}.
std::string ranges_of(std::span<const CodePointRange> ranges) {
  std::string out;
  for (const CodePointRange& range : ranges)
    out += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", static_cast<uint32_t>(range.first),
                       static_cast<uint32_t>(range.last));
  return out;
}

// What Oniguruma has in a general category beyond PCRE2.
std::string recent_members(std::string_view category) {
  std::string out;
  const auto add = [&](std::string_view name, std::span<const CodePointRange> ranges) {
    if (name.starts_with(category)) out += ranges_of(ranges);
  };
  add("Lu", kRecentUpper);
  add("Ll", kRecentLower);
  add("Lm", kRecentModifiers);
  add("Lo", kRecentOther);
  add("M", kRecentMarks);
  add("Nd", kRecentDigits);
  add("No", kRecentNumbers);
  add("P", kRecentPunctuation);
  add("S", kRecentSymbols);
  return out;
}

// The members of \s, \w or \p{..} as they stand in a class; empty: PCRE2 reads it alike.
std::string members_of(char letter, std::string_view property) {
  if (letter == 'h') return "0-9a-fA-F";
  if (letter == 's') return "\\t-\\r \\x{85}\\p{Z}";
  if (letter == 'w')
    return concat("\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xB2\\xB3\\xB9\\xBC-\\xBE",
                  recent_members("L"), recent_members("M"), recent_members("Nd"));
  if (letter != 'p' || property.empty()) return {};
  const std::string recent = recent_members(property);
  return recent.empty() ? recent : concat("\\p{", property, "}", recent);
}

// Oniguruma's Ruby syntax where PCRE2 reads the same text differently: \h is a hexadecimal digit,
// white space is the property White_Space, without U+180E, \w and \p{..} know Unicode 16, and \w
// has the fractions and superscripts of Latin-1.
Result<std::string> translate(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      const bool negated = next == 'H' || next == 'S' || next == 'W' || next == 'P';
      std::string_view property;
      if ((next == 'p' || next == 'P') && pattern.substr(i + 1).starts_with('{'))
        property = pattern.substr(i + 2, pattern.find('}', i) - i - 2);
      const std::string members =
          members_of(negated ? static_cast<char>(next | 0x20) : next, property);
      if (members.empty() || (negated && in_class)) {
        out += {c, next};
        continue;
      }
      if (!property.empty()) i += property.size() + 2;
      out += in_class ? members : concat(negated ? "[^" : "[", members, "]");
      continue;
    }
    if (in_class &&
        ((c == '[' && !pattern.substr(i).starts_with("[:")) || pattern.substr(i).starts_with("&&")))
      return Error{sis::Code::kInvalidArgument,
                   concat("regex ", in_quotes(pattern),
                          ": classes inside classes are not supported, at byte ", i)};
    if (in_class && c == '[') {  // [:name:]
      const size_t end = std::min(pattern.find(']', i), pattern.size() - 1);
      out += pattern.substr(i, end - i + 1);
      i = end;
      continue;
    }
    if (c == '[')
      in_class = true;
    else if (c == ']')
      in_class = false;
    out += c;
  }
  return out;
}

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  ~Code() {
    pcre2_code_free(code);
    pcre2_match_context_free(context);
  }
};

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax)
    return Error{sis::Code::kInvalidArgument,
                 concat("regex of ", pattern.size(), " bytes, want at most ", kPatternBytesMax)};
  SIS_ASSIGN(const std::string translated, translate(pattern));
  int error = 0;
  PCRE2_SIZE at = 0;
  auto code = std::make_unique<Code>();
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
  if (code->code == nullptr) {
    PCRE2_UCHAR message[160] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return Error{sis::Code::kInvalidArgument,
                 concat("regex ", in_quotes(pattern), ": ", reinterpret_cast<const char*>(message),
                        " at byte ", at)};
  }
  pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);  // without it the interpreter serves
  code->context = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(code->context, kMatchLimit);
  return Regex(std::move(code));
}

Result<Regex> Regex::literal(std::string_view text) {
  std::string pattern;
  for (char c : text) {
    if (std::string_view("\\^$.|?*+()[]{}-#&~ ").find(c) != std::string_view::npos) pattern += '\\';
    if (c == '\0')
      pattern += "\\x00";
    else
      pattern += c;
  }
  return compile(pattern);
}

bool Regex::search(std::string_view text, size_t from, Match& match) const {
  // Patterns here have few groups and only the whole match is read, so one pair serves all.
  static thread_local std::unique_ptr<pcre2_match_data, FreeMatchData> data(
      pcre2_match_data_create(1, nullptr));
  const auto match_with = [&](uint32_t options) {
    return pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, data.get(), code_->context);
  };
  int found = match_with(0);
  // The interpreter keeps its backtracking on the heap.
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match_with(PCRE2_NO_JIT);
  if (found < 0) return false;
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
  match = {ends[0], ends[1]};
  // \K may put the start behind the end; such a match says nothing useful.
  return match.begin <= match.end && match.begin >= from;
}

}  // namespace sis::text::tok
