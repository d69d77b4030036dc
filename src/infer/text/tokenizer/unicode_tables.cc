#include "infer/text/tokenizer/unicode_tables.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uset.h>

#include <array>
#include <cstring>
#include <string>

#include "base/check.h"

namespace sis::text::tok {
namespace {

struct Range {
  char32_t first, last;
};

// Where the crates differ from ICU 72 (Unicode 15.0) beyond what its age property can express: code
// points whose category changed since, and those assigned later.
constexpr Range kNonspacingMissing[] = {{0x1734, 0x1734}};
constexpr Range kNonspacingExtra[] = {{0x1885, 0x1886}, {0xA9BD, 0xA9BD}, {0x111C9, 0x111C9}};
constexpr Range kMarkMissing[] = {{0x1CF2, 0x1CF3}};
constexpr Range kMarkExtra[] = {{0x111C9, 0x111C9}};
constexpr Range kPunctuationMissing[] = {{0x166D, 0x166D}, {0x111C9, 0x111C9}};
constexpr Range kWordMissing[] = {
    {0x0897, 0x0897},   {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},
    {0x105C0, 0x105F3}, {0x10D40, 0x10D65}, {0x10D69, 0x10D6D}, {0x10D6F, 0x10D85},
    {0x10EC2, 0x10EC4}, {0x10EFC, 0x10EFC}, {0x11380, 0x11389}, {0x1138B, 0x1138B},
    {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113C0}, {0x113C2, 0x113C2},
    {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D3}, {0x113E1, 0x113E2},
    {0x116D0, 0x116E3}, {0x11BC0, 0x11BE0}, {0x11BF0, 0x11BF9}, {0x11F5A, 0x11F5A},
    {0x13460, 0x143FA}, {0x16100, 0x16139}, {0x16D40, 0x16D6C}, {0x16D70, 0x16D79},
    {0x18CFF, 0x18CFF}, {0x1CCF0, 0x1CCF9}, {0x1E5D0, 0x1E5FA}, {0x2EBF0, 0x2EE5D}};
constexpr Range kNumericMissing[] = {{0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9},
                                     {0x11DE0, 0x11DE9}, {0x16130, 0x16139}, {0x16D70, 0x16D79},
                                     {0x16FF4, 0x16FF6}, {0x1CCF0, 0x1CCF9}, {0x1E5F1, 0x1E5FA}};
constexpr Range kChineseBlocks[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                                    {0x20000, 0x2A6DF}, {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF},
                                    {0x2F800, 0x2FA1F}};
constexpr Range kExtendMissing[] = {
    {0x0897, 0x0897},   {0x1ACF, 0x1ADD},   {0x1AE0, 0x1AEB},   {0x10D69, 0x10D6D},
    {0x10EFA, 0x10EFC}, {0x113B8, 0x113C0}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5},
    {0x113C7, 0x113CA}, {0x113CC, 0x113D0}, {0x113D2, 0x113D2}, {0x113E1, 0x113E2},
    {0x11B60, 0x11B67}, {0x11F5A, 0x11F5A}, {0x1611E, 0x1612F}, {0x1E5EE, 0x1E5EF},
    {0x1E6E3, 0x1E6E3}, {0x1E6E6, 0x1E6E6}, {0x1E6EE, 0x1E6EF}, {0x1E6F5, 0x1E6F5}};
// Indic_Conjunct_Break is younger than ICU 72. Consonants beyond U+FFFF are left out: they only
// decide clusters longer than the 5 bytes that the Precompiled normalizer looks at.
constexpr char32_t kLinkers[] = {0x094D,  0x09CD,  0x0ACD,  0x0B4D,  0x0C4D,  0x0D4D, 0x1039,
                                 0x17D2,  0x1A60,  0x1B44,  0x1BAB,  0xA9C0,  0xAAF6, 0x10A3F,
                                 0x11133, 0x113D0, 0x1193E, 0x11A47, 0x11A99, 0x11F42};
constexpr Range kConsonants[] = {
    {0x0915, 0x0939}, {0x0958, 0x095F}, {0x0978, 0x097F}, {0x0995, 0x09A8}, {0x09AA, 0x09B0},
    {0x09B2, 0x09B2}, {0x09B6, 0x09B9}, {0x09DC, 0x09DD}, {0x09DF, 0x09DF}, {0x09F0, 0x09F1},
    {0x0A95, 0x0AA8}, {0x0AAA, 0x0AB0}, {0x0AB2, 0x0AB3}, {0x0AB5, 0x0AB9}, {0x0AF9, 0x0AF9},
    {0x0B15, 0x0B28}, {0x0B2A, 0x0B30}, {0x0B32, 0x0B33}, {0x0B35, 0x0B39}, {0x0B5C, 0x0B5D},
    {0x0B5F, 0x0B5F}, {0x0B71, 0x0B71}, {0x0C15, 0x0C28}, {0x0C2A, 0x0C39}, {0x0C58, 0x0C5A},
    {0x0D15, 0x0D3A}, {0x1000, 0x102A}, {0x103F, 0x103F}, {0x1050, 0x1055}, {0x105A, 0x105D},
    {0x1061, 0x1061}, {0x1065, 0x1066}, {0x106E, 0x1070}, {0x1075, 0x1081}, {0x108E, 0x108E},
    {0x1780, 0x17B3}, {0x1A20, 0x1A54}, {0x1B0B, 0x1B0C}, {0x1B13, 0x1B33}, {0x1B45, 0x1B4C},
    {0x1B83, 0x1BA0}, {0x1BAE, 0x1BAF}, {0x1BBB, 0x1BBD}, {0xA989, 0xA98B}, {0xA98F, 0xA9B2},
    {0xA9E0, 0xA9E4}, {0xA9E7, 0xA9EF}, {0xA9FA, 0xA9FE}, {0xAA60, 0xAA6F}, {0xAA71, 0xAA73},
    {0xAA7A, 0xAA7A}, {0xAA7E, 0xAA7F}, {0xAAE0, 0xAAEA}, {0xABC0, 0xABDA}};
struct Lower {
  char32_t first, last, to;  // `first` becomes `to`, the next one the one after
};
constexpr Lower kLowerMissing[] = {{0x1C89, 0x1C89, 0x1C8A},    {0xA7CB, 0xA7CB, 0x0264},
                                   {0xA7CC, 0xA7CC, 0xA7CD},    {0xA7CE, 0xA7CE, 0xA7CF},
                                   {0xA7D2, 0xA7D2, 0xA7D3},    {0xA7D4, 0xA7D4, 0xA7D5},
                                   {0xA7DA, 0xA7DA, 0xA7DB},    {0xA7DC, 0xA7DC, 0x019B},
                                   {0x10D50, 0x10D65, 0x10D70}, {0x16EA0, 0x16EB8, 0x16EBB}};

constexpr char32_t kHangulFirst = 0xAC00, kHangulCount = 11172;
constexpr char32_t kJamoL = 0x1100, kJamoV = 0x1161, kJamoT = 0x11A7;

// fn(code point) for every member of an ICU set pattern.
template <class Fn>
void for_each_in(const char* pattern, Fn&& fn) {
  std::u16string wide(pattern, pattern + std::strlen(pattern));
  UErrorCode status = U_ZERO_ERROR;
  USet* set = uset_openPattern(wide.data(), static_cast<int32_t>(wide.size()), &status);
  SIS_CHECK(U_SUCCESS(status), "ICU set ", pattern, ": ", u_errorName(status));
  for (int32_t i = 0, items = uset_getItemCount(set); i < items; ++i) {
    UChar32 first = 0, last = 0;
    status = U_ZERO_ERROR;
    if (uset_getItem(set, i, &first, &last, nullptr, 0, &status) != 0) continue;  // a string
    for (UChar32 c = first; c <= last; ++c)
      if (c < 0xD800 || c > 0xDFFF) fn(static_cast<char32_t>(c));
  }
  uset_close(set);
}

template <size_t kCount, class Fn>
void for_each_in(const Range (&ranges)[kCount], Fn&& fn) {
  for (const Range& range : ranges)
    for (char32_t c = range.first; c <= range.last; ++c) fn(c);
}

std::u32string to_utf32(const UChar* units, int32_t count) {
  std::u32string out;
  for (int32_t i = 0; i < count;) {
    char32_t c = units[i++];
    if (c >= 0xD800 && c < 0xDC00 && i < count)
      c = 0x10000 + ((c - 0xD800) << 10) + (units[i++] - 0xDC00);
    out.push_back(c);
  }
  return out;
}

ClusterClass from_icu(int32_t value) {
  switch (value) {
    case U_GCB_CR:
      return ClusterClass::kCr;
    case U_GCB_LF:
      return ClusterClass::kLf;
    case U_GCB_CONTROL:
      return ClusterClass::kControl;
    case U_GCB_EXTEND:
      return ClusterClass::kExtend;
    case U_GCB_ZWJ:
      return ClusterClass::kJoiner;
    case U_GCB_SPACING_MARK:
      return ClusterClass::kSpacingMark;
    case U_GCB_PREPEND:
      return ClusterClass::kPrepend;
    case U_GCB_REGIONAL_INDICATOR:
      return ClusterClass::kRegional;
    case U_GCB_L:
      return ClusterClass::kL;
    case U_GCB_V:
      return ClusterClass::kV;
    case U_GCB_T:
      return ClusterClass::kT;
    case U_GCB_LV:
      return ClusterClass::kLv;
    case U_GCB_LVT:
      return ClusterClass::kLvt;
    default:
      return ClusterClass::kOther;
  }
}

}  // namespace

const UnicodeTables& UnicodeTables::get() {
  static const UnicodeTables tables;
  return tables;
}

UnicodeTables::UnicodeTables() {
  std::vector<Entry> flat(0x110000);
  const auto set = [&](uint16_t flag) {
    return [&flat, flag](char32_t c) { flat[c].flags |= flag; };
  };
  const auto clear = [&](uint16_t flag) {
    return [&flat, flag](char32_t c) { flat[c].flags &= static_cast<uint16_t>(~flag); };
  };

  for_each_in("[:White_Space:]", set(kWhiteSpace));
  for_each_in("[[:Cc:][:Cf:][:Co:]&[:age=7.0:]]", set(kControl));
  for_each_in("[[:P:]&[:age=8.0:]]", set(kPunctuation));
  for_each_in(kPunctuationMissing, set(kPunctuation));
  for (char32_t c : std::u32string_view(U"$+<=>^`|~")) flat[c].flags |= kPunctuation;
  for_each_in("[[:Mn:]&[:age=8.0:]]", set(kNonspacingMark));
  for_each_in(kNonspacingMissing, set(kNonspacingMark));
  for_each_in(kNonspacingExtra, clear(kNonspacingMark));
  for_each_in("[[:M:]&[:age=9.0:]]", set(kCombiningMark));
  for_each_in(kMarkMissing, set(kCombiningMark));
  for_each_in(kMarkExtra, clear(kCombiningMark));
  for_each_in("[[:Alphabetic:][:M:][:Nd:][:Pc:][:Join_Control:]]", set(kWord));
  for_each_in(kWordMissing, set(kWord));
  for_each_in("[:N:]", set(kNumeric));
  for_each_in(kNumericMissing, set(kNumeric));
  for_each_in(kChineseBlocks, set(kChinese));
  for_each_in("[:Extended_Pictographic:]", set(kPictographic));
  for_each_in(kConsonants, set(kConjunctConsonant));
  for (char32_t c : kLinkers) flat[c].flags |= kConjunctLinker;

  for_each_in("[[:^gcb=XX:]]", [&](char32_t c) {
    flat[c].cluster =
        from_icu(u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_GRAPHEME_CLUSTER_BREAK));
  });
  for_each_in(kExtendMissing, [&](char32_t c) { flat[c].cluster = ClusterClass::kExtend; });
  flat[0x113D1].cluster = ClusterClass::kPrepend;
  flat[0x11A3A].cluster = ClusterClass::kOther;

  for_each_in("[[:^ccc=0:]&[:age=9.0:]]", [&](char32_t c) {
    flat[c].combining_class = u_getCombiningClass(static_cast<UChar32>(c));
    flat[c].flags |= kReorders;
  });

  UErrorCode status = U_ZERO_ERROR;
  const UNormalizer2* nfc = unorm2_getNFCInstance(&status);
  const UNormalizer2* nfkc = unorm2_getNFKCInstance(&status);
  SIS_CHECK(U_SUCCESS(status), "ICU normalizers: ", u_errorName(status));
  const auto is_hangul = [](char32_t c) { return c - kHangulFirst < kHangulCount; };
  const auto keep = [&](SliceMap& map, const UNormalizer2* form, char32_t c) {
    if (is_hangul(c)) return;
    UChar units[64];
    const int32_t count =
        unorm2_getDecomposition(form, static_cast<UChar32>(c), units, 64, &status);
    SIS_CHECK(U_SUCCESS(status) && count > 0, "ICU decomposition of ", static_cast<uint32_t>(c));
    const std::u32string whole = to_utf32(units, count);
    map[c] = Slice{static_cast<uint32_t>(pool_.size()), static_cast<uint32_t>(whole.size())};
    pool_ += whole;
  };
  for_each_in("[[:NFD_QC=No:]&[:age=9.0:]]", [&](char32_t c) {
    flat[c].flags |= kDecomposes;
    keep(canonical_, nfc, c);
    UChar units[16];
    const int32_t count =
        unorm2_getRawDecomposition(nfc, static_cast<UChar32>(c), units, 16, &status);
    const std::u32string raw = to_utf32(units, count);
    if (!is_hangul(c) && raw.size() == 2 &&
        u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_FULL_COMPOSITION_EXCLUSION) == 0)
      composites_[uint64_t{raw[0]} << 32 | raw[1]] = c;
  });
  for_each_in("[[:NFKD_QC=No:]&[:age=9.0:]]", [&](char32_t c) {
    flat[c].flags |= kDecomposesCompat;
    keep(compatible_, nfkc, c);
  });

  for_each_in("[:Changes_When_Lowercased:]", [&](char32_t c) {
    lower_[c] = static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
    flat[c].flags |= kChangesInLower;
  });
  for (const Lower& row : kLowerMissing) {
    for (char32_t c = row.first; c <= row.last; ++c) {
      lower_[c] = row.to + (c - row.first);
      flat[c].flags |= kChangesInLower;
    }
  }

  const auto reorders_visibly = [&](char32_t c) {
    return (flat[c].flags & kReorders) != 0 && (flat[c].flags & kNonspacingMark) == 0;
  };
  for (char32_t c = 0; c < 0x110000; ++c)
    if (reorders_visibly(c)) flat[c].flags |= kReordersVisibly;
  for (const auto& [c, slice] : canonical_)
    for (char32_t part : std::u32string_view(pool_).substr(slice.begin, slice.length))
      if (reorders_visibly(part)) flat[c].flags |= kReordersVisibly;

  mark_unstable(flat);
  pack(flat);
}

void UnicodeTables::mark_unstable(std::vector<Entry>& flat) const {
  constexpr uint16_t kBoth = kUnstableNfc | kUnstableNfkc;
  std::vector<bool> recomposes(flat.size());
  for (const auto& [pair, whole] : composites_) {
    recomposes[whole] = true;
    flat[static_cast<char32_t>(pair)].form |= kBoth;  // may join the one before
  }
  for (char32_t vowel = 0; vowel < 21; ++vowel) flat[kJamoV + vowel].form |= kBoth;
  for (char32_t last = 1; last < 28; ++last) flat[kJamoT + last].form |= kBoth;
  const auto text_of = [&](const Slice& slice) {
    return std::u32string_view(pool_).substr(slice.begin, slice.length);
  };
  for (const auto& [c, slice] : canonical_)
    if (!recomposes[c]) flat[c].form |= kBoth;
  for (const auto& [c, slice] : compatible_) {
    const auto canonical = canonical_.find(c);
    if (canonical == canonical_.end() || text_of(canonical->second) != text_of(slice))
      flat[c].form |= kUnstableNfkc;
  }
}

void UnicodeTables::pack(const std::vector<Entry>& flat) {
  std::unordered_map<std::string_view, uint16_t> seen;
  constexpr size_t kBlock = 256;
  blocks_.resize(flat.size() / kBlock);
  for (size_t block = 0; block < blocks_.size(); ++block) {
    const Entry* first = flat.data() + block * kBlock;
    const std::string_view bytes(reinterpret_cast<const char*>(first), kBlock * sizeof(Entry));
    const auto [at, fresh] = seen.emplace(bytes, static_cast<uint16_t>(entries_.size() / kBlock));
    if (fresh) entries_.insert(entries_.end(), first, first + kBlock);
    blocks_[block] = at->second;
  }
  byte_flags_.assign(256, 0xFFFF);
  for (size_t byte = 0; byte < 128; ++byte) byte_flags_[byte] = flat[byte].flags;
}

std::u32string_view UnicodeTables::decompose(char32_t c, uint16_t flag, const SliceMap& map,
                                             char32_t (&buffer)[3]) const {
  if (!has(c, flag)) {
    buffer[0] = c;
    return {buffer, 1};
  }
  if (const char32_t index = c - kHangulFirst; index < kHangulCount) {
    buffer[0] = kJamoL + index / 588;
    buffer[1] = kJamoV + index % 588 / 28;
    buffer[2] = kJamoT + index % 28;
    return {buffer, size_t{index % 28 == 0 ? 2u : 3u}};
  }
  const auto at = map.find(c);
  return std::u32string_view(pool_).substr(at->second.begin, at->second.length);
}

char32_t UnicodeTables::compose(char32_t first, char32_t second) const {
  if (first - kJamoL < 19 && second - kJamoV < 21)
    return kHangulFirst + (first - kJamoL) * 588 + (second - kJamoV) * 28;
  if (first - kHangulFirst < kHangulCount && (first - kHangulFirst) % 28 == 0 &&
      second - (kJamoT + 1) < 27)
    return first + (second - kJamoT);
  const auto at = composites_.find(uint64_t{first} << 32 | second);
  return at == composites_.end() ? 0 : at->second;
}

std::u32string_view UnicodeTables::lower(char32_t c, char32_t (&buffer)[2]) const {
  buffer[0] = c;
  if (!has(c, kChangesInLower)) return {buffer, 1};
  if (c == 0x130) {  // the only one that becomes two
    buffer[0] = 'i';
    buffer[1] = 0x307;
    return {buffer, 2};
  }
  if (c < 0x80) {
    buffer[0] = c | 0x20;
    return {buffer, 1};
  }
  buffer[0] = lower_.find(c)->second;
  return {buffer, 1};
}

}  // namespace sis::text::tok
