#include "infer/text/tokenizer/unicode_forms.h"

#include <algorithm>

#include "infer/text/tokenizer/unicode_tables.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

// Sorts the marks at the end of `out`, from `first_mark` on, by combining class; equal ones keep
// their order.
void sort_marks(std::vector<Change>& out, size_t first_mark, const UnicodeTables& tables) {
  if (out.size() - first_mark < 2) return;
  std::stable_sort(out.begin() + static_cast<ptrdiff_t>(first_mark), out.end(),
                   [&](const Change& a, const Change& b) {
                     return tables.combining_class(a.c) < tables.combining_class(b.c);
                   });
}

void decompose(std::string_view text, bool compatible, const UnicodeTables& tables,
               std::vector<Change>& out) {
  size_t first_mark = 0;  // marks since the last character of class 0
  for (size_t at = 0, bytes = 0; at < text.size(); at += bytes) {
    const char32_t c = decode_utf8(text, at, bytes);
    char32_t buffer[3];
    const std::u32string_view parts =
        compatible ? tables.compatible(c, buffer) : tables.canonical(c, buffer);
    int32_t change = 0;
    for (char32_t part : parts) {
      if (!tables.has(part, kReorders)) {
        sort_marks(out, first_mark, tables);
        out.push_back({part, change});
        first_mark = out.size();
      } else {
        out.push_back({part, change});
      }
      change = 1;
    }
  }
  sort_marks(out, first_mark, tables);
}

// Composes in place. A composite takes both parts' changes, less one because one character went.
void compose(std::vector<Change>& list, const UnicodeTables& tables) {
  constexpr size_t kNone = static_cast<size_t>(-1);
  size_t write = 0, starter = kNone;
  int last_class = -1;  // of the last character kept after the starter
  for (size_t read = 0; read < list.size(); ++read) {
    const Change next = list[read];
    const int next_class = tables.combining_class(next.c);
    if (starter == kNone) {
      if (next_class == 0) starter = write;
      list[write++] = next;
      continue;
    }
    if (last_class < next_class || last_class == -1) {
      if (const char32_t whole = tables.compose(list[starter].c, next.c)) {
        list[starter] = {whole, list[starter].change + next.change - 1};
        continue;
      }
    }
    list[write] = next;
    if (next_class == 0) {
      starter = write;
      last_class = -1;
    } else {
      last_class = next_class;
    }
    ++write;
  }
  list.resize(write);
}

bool is_control(ClusterClass c) {
  return c == ClusterClass::kControl || c == ClusterClass::kCr || c == ClusterClass::kLf;
}

}  // namespace

bool surely_in_form(std::string_view text, Form form) {
  // First code points the form may change: U+0300, U+00C0, U+00A0, U+00A0; told by the lead bytes.
  const bool composed = form == Form::kNfc;
  const unsigned char first = composed ? 0xCC : form == Form::kNfd ? 0xC3 : 0xC2;
  unsigned char highest = 0;
  for (char byte : text) highest = std::max(highest, static_cast<unsigned char>(byte));
  if (highest < first) return true;

  // UAX #15, section 9: every character stays, and marks are in order.
  const UnicodeTables& tables = UnicodeTables::get();
  const auto stays = [&](char32_t c) {
    switch (form) {
      case Form::kNfc:
        return !tables.has_form(c, kUnstableNfc);
      case Form::kNfkc:
        return !tables.has_form(c, kUnstableNfkc);
      case Form::kNfd:
        return !tables.has(c, kDecomposes);
      case Form::kNfkd:
        return !tables.has(c, kDecomposesCompat);
    }
    return false;
  };
  int last_class = 0;
  for (size_t at = 0, bytes = 0; at < text.size(); at += bytes) {
    const char32_t c = decode_utf8(text, at, bytes);
    if (!stays(c)) return false;
    const int now = tables.combining_class(c);
    if (now != 0 && now < last_class) return false;
    last_class = now;
  }
  return true;
}

void changes_to_form(std::string_view text, Form form, std::vector<Change>& out) {
  const UnicodeTables& tables = UnicodeTables::get();
  out.clear();
  out.reserve(text.size());
  decompose(text, form == Form::kNfkc || form == Form::kNfkd, tables, out);
  if (form == Form::kNfc || form == Form::kNfkc) compose(out, tables);
}

size_t cluster_length(std::string_view text, size_t at) {
  using enum ClusterClass;
  const UnicodeTables& tables = UnicodeTables::get();
  size_t end = at, bytes = 0;
  char32_t c = decode_utf8(text, end, bytes);
  end += bytes;
  ClusterClass before = tables.cluster_class(c);
  int regionals = before == kRegional ? 1 : 0;
  // GB11: a pictograph, extenders, then a joiner.  GB9c: a consonant, then marks with a linker
  // among them.
  bool pictograph = tables.has(c, kPictographic), pictograph_joined = false;
  bool consonant = tables.has(c, kConjunctConsonant), consonant_linked = false;
  for (; end < text.size(); end += bytes) {
    c = decode_utf8(text, end, bytes);
    const ClusterClass now = tables.cluster_class(c);
    const uint16_t flags = tables.flags(c);
    bool joins = false;
    if (before == kCr && now == kLf) {
      joins = true;
    } else if (is_control(before) || is_control(now)) {
      joins = false;
    } else if (before == kL && (now == kL || now == kV || now == kLv || now == kLvt)) {
      joins = true;
    } else if ((before == kLv || before == kV) && (now == kV || now == kT)) {
      joins = true;
    } else if ((before == kLvt || before == kT) && now == kT) {
      joins = true;
    } else if (now == kExtend || now == kJoiner || now == kSpacingMark || before == kPrepend) {
      joins = true;
    } else if (consonant_linked && (flags & kConjunctConsonant) != 0) {
      joins = true;
    } else if (pictograph_joined && (flags & kPictographic) != 0) {
      joins = true;
    } else if (before == kRegional && now == kRegional) {
      joins = regionals % 2 == 1;
    }
    if (!joins) break;

    regionals = now == kRegional ? regionals + 1 : 0;
    pictograph_joined = pictograph && now == kJoiner;
    pictograph = (pictograph && now == kExtend) || (flags & kPictographic) != 0;
    const bool extends = now == kExtend || now == kJoiner;
    consonant_linked = consonant && extends && (consonant_linked || (flags & kConjunctLinker) != 0);
    consonant = (consonant && extends) || (flags & kConjunctConsonant) != 0;
    before = now;
  }
  return end - at;
}

}  // namespace sis::text::tok
