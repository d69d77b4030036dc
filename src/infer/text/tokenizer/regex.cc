#include "infer/text/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"
#include "base/strings.h"

namespace sis::text::tok {
namespace {

constexpr size_t kPatternBytesMax = 16'384;
// Backtracking steps before a search is given up; the patterns in use need a handful per character.
constexpr uint32_t kMatchLimit = 10'000'000;

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

// Oniguruma's Ruby syntax where PCRE2 reads the same text differently: \h is a hexadecimal digit,
// and white space is the property White_Space, without U+180E.
std::string translate(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      if (next == 'h')
        out += in_class ? "0-9a-fA-F" : "[0-9a-fA-F]";
      else if (next == 'H' && !in_class)
        out += "[^0-9a-fA-F]";
      else if (next == 's' && !in_class)
        out += "[\\t-\\r \\x{85}\\p{Z}]";
      else if (next == 's')
        out += "\\t-\\r \\x{85}\\p{Z}";
      else if (next == 'S' && !in_class)
        out += "[^\\t-\\r \\x{85}\\p{Z}]";
      else
        out += {c, next};
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
  const std::string translated = translate(pattern);
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
  const int found = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                from, PCRE2_NO_UTF_CHECK, data.get(), code_->context);
  if (found < 0) return false;
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
  match = {ends[0], ends[1]};
  // \K may put the start behind the end; such a match says nothing useful.
  return match.begin <= match.end && match.begin >= from;
}

}  // namespace sis::text::tok
