// What the tokenizer must know about every code point, in flat tables.
//
// Built once from ICU, then corrected to the Unicode versions that the Rust crates under the
// `tokenizers` library carry, because ids must be identical to theirs and not merely right:
//   general categories of BertNormalizer, Punctuation   unicode_categories 0.1 (Unicode 7-8)
//   decomposition, composition, combining classes       unicode-normalization-alignments 0.1
//   (Unicode 9) white space, numeric, lower case                     Rust's own char (Unicode 17)
//   \w of the Whitespace pre-tokenizer                   regex-syntax 0.8 (Unicode 16)
//   grapheme cluster classes                             unicode-segmentation 1.13 (Unicode 17)
// tests/interop/tokenizer_diff.py compares all code points with the library.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sis::text::tok {

enum CharFlag : uint16_t {
  kWhiteSpace = 1 << 0,        // White_Space
  kPunctuation = 1 << 1,       // ASCII punctuation or category P*
  kControl = 1 << 2,           // Cc, Cf, Co
  kNonspacingMark = 1 << 3,    // Mn
  kCombiningMark = 1 << 4,     // Mn, Mc, Me
  kWord = 1 << 5,              // regex \w
  kNumeric = 1 << 6,           // Nd, Nl, No
  kChinese = 1 << 7,           // the blocks BERT puts spaces around
  kDecomposes = 1 << 8,        // has a canonical decomposition (Hangul syllables included)
  kDecomposesCompat = 1 << 9,  // has a compatibility or canonical decomposition
  kChangesInLower = 1 << 10,   // lower case differs
  kReorders = 1 << 11,         // combining class is not 0
  kReordersVisibly = 1 << 12,  // the same, of it or in its decomposition, for a mark that is not Mn
  kPictographic = 1 << 13,     // Extended_Pictographic
  kConjunctConsonant = 1 << 14,  // Indic_Conjunct_Break=Consonant
  kConjunctLinker = 1 << 15,     // Indic_Conjunct_Break=Linker
};

// Characters that a composed form replaces or that may join the one before; all others stay.
enum FormFlag : uint16_t {
  kUnstableNfc = 1 << 0,
  kUnstableNfkc = 1 << 1,
};

enum class ClusterClass : uint8_t {
  kOther,
  kCr,
  kLf,
  kControl,
  kExtend,
  kJoiner,
  kSpacingMark,
  kPrepend,
  kRegional,
  kL,
  kV,
  kT,
  kLv,
  kLvt,
};

class UnicodeTables {
 public:
  // Built on first use (some milliseconds); any thread.
  static const UnicodeTables& get();

  uint16_t flags(char32_t c) const { return entry(c).flags; }
  bool has(char32_t c, uint16_t any_of) const { return (entry(c).flags & any_of) != 0; }
  bool has_form(char32_t c, uint16_t any_of) const { return (entry(c).form & any_of) != 0; }
  uint8_t combining_class(char32_t c) const { return entry(c).combining_class; }
  ClusterClass cluster_class(char32_t c) const { return entry(c).cluster; }

  // Full decompositions; the character itself when it has none. `buffer` holds Hangul jamo and lone
  // characters.
  std::u32string_view canonical(char32_t c, char32_t (&buffer)[3]) const {
    return decompose(c, kDecomposes, canonical_, buffer);
  }
  std::u32string_view compatible(char32_t c, char32_t (&buffer)[3]) const {
    return decompose(c, kDecomposesCompat, compatible_, buffer);
  }
  // The primary composite of two characters, 0 when there is none.
  char32_t compose(char32_t first, char32_t second) const;
  // One or two characters.
  std::u32string_view lower(char32_t c, char32_t (&buffer)[2]) const;

  // A table for single bytes, to be kept in a local: flags of ASCII, 0xFFFF above.
  std::span<const uint16_t, 256> byte_flags() const {
    return std::span<const uint16_t, 256>(byte_flags_);
  }

 private:
  struct Entry {
    uint16_t flags = 0;
    uint8_t combining_class = 0;
    ClusterClass cluster = ClusterClass::kOther;
    uint16_t form = 0;
    bool operator==(const Entry&) const = default;
  };
  struct Slice {
    uint32_t begin = 0, length = 0;
  };
  using SliceMap = std::unordered_map<char32_t, Slice>;

  UnicodeTables();
  void mark_unstable(std::vector<Entry>& flat) const;
  void pack(const std::vector<Entry>& flat);
  std::u32string_view decompose(char32_t c, uint16_t flag, const SliceMap& map,
                                char32_t (&buffer)[3]) const;
  const Entry& entry(char32_t c) const {
    return c < 0x110000 ? entries_[size_t{blocks_[c >> 8]} << 8 | (c & 0xFF)] : outside_;
  }

  // Two stages: equal blocks of 256 code points are kept once.
  std::vector<uint16_t> blocks_;
  std::vector<Entry> entries_;
  Entry outside_;
  std::vector<uint16_t> byte_flags_;
  std::u32string pool_;
  SliceMap canonical_, compatible_;
  std::unordered_map<uint64_t, char32_t> composites_;
  std::unordered_map<char32_t, char32_t> lower_;
};

}  // namespace sis::text::tok
