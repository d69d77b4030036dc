#include "infer/text/tokenizer/precompiled.h"

#include <cstring>

#include "base/strings.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

// The longest in use has 33 bytes (U+FDFA).
constexpr size_t kReplacementBytesMax = 1024;

// A unit of Darts-clone's double array.
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value_of(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t label_of(uint32_t unit) { return unit & 0x800000FF; }
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

}  // namespace

Result<CharsMap> CharsMap::parse(std::string_view bytes) {
  const auto refuse = [](auto&&... what) {
    return Error{Code::kInvalidArgument, concat("precompiled_charsmap: ", what...)};
  };
  if (bytes.size() < sizeof(uint32_t)) return refuse(bytes.size(), " bytes, want at least 4");
  uint32_t trie_bytes = 0;
  std::memcpy(&trie_bytes, bytes.data(), sizeof trie_bytes);
  if (trie_bytes > bytes.size() - sizeof trie_bytes)
    return refuse("a trie of ", trie_bytes, " bytes runs past the ", bytes.size(), " there are");
  if (trie_bytes < sizeof(uint32_t))
    return refuse("a trie of ", trie_bytes, " bytes, want at least 4");
  CharsMap map;
  map.trie_.resize(trie_bytes / sizeof(uint32_t));
  std::memcpy(map.trie_.data(), bytes.data() + sizeof trie_bytes,
              map.trie_.size() * sizeof(uint32_t));
  map.replacements_ = bytes.substr(sizeof trie_bytes + map.trie_.size() * sizeof(uint32_t));
  if (!is_utf8(map.replacements_)) return refuse("the replacements are not UTF-8");
  return map;
}

std::optional<std::string_view> CharsMap::replacement(std::string_view text) const {
  size_t node = offset_of(trie_[0]);
  for (char byte : text) {
    const auto c = static_cast<unsigned char>(byte);
    if (c == 0) break;
    node ^= c;
    if (node >= trie_.size()) return std::nullopt;
    const uint32_t unit = trie_[node];
    if (label_of(unit) != c) return std::nullopt;
    node ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    if (node >= trie_.size()) return std::nullopt;
    const size_t begin = value_of(trie_[node]);
    if (begin > replacements_.size()) return std::nullopt;
    if (begin < replacements_.size() && is_continuation(replacements_[begin])) return std::nullopt;
    const size_t end = std::min(replacements_.find('\0', begin), replacements_.size());
    if (end - begin > kReplacementBytesMax) return std::nullopt;
    return std::string_view(replacements_).substr(begin, end - begin);
  }
  return std::nullopt;
}

std::optional<std::string> decode_base64(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
  };
  if (text.size() % 4 != 0) return std::nullopt;
  size_t digits = text.size();
  while (digits > 0 && text.size() - digits < 2 && text[digits - 1] == '=') --digits;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int held = 0;
  for (size_t i = 0; i < digits; ++i) {
    const int value = digit(text[i]);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out.push_back(static_cast<char>(bits >> held & 0xFF));
  }
  if ((bits & ((1u << held) - 1)) != 0) return std::nullopt;  // leftover bits must be zero
  return out;
}

}  // namespace sis::text::tok
