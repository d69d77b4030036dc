// 128-bit key of an exact input: two different texts never share one in practice (XXH3-128).
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace sis::cache {

struct TextKey {
  uint64_t low = 0, high = 0;
  bool operator==(const TextKey&) const = default;
};
struct TextKeyHash {
  size_t operator()(const TextKey& key) const { return key.low; }
};

// `salt` keeps apart what must not share an answer (text or token ids, truncation).
inline TextKey text_key(std::string_view text, uint64_t salt) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(text.data(), text.size(), salt);
  return {hash.low64, hash.high64};
}
// A pair is not the one text that both make together: the first one's hash salts the second.
inline TextKey pair_key(std::string_view first, std::string_view second, uint64_t salt) {
  const TextKey key = text_key(first, salt);
  XXH128_hash_t hash = XXH3_128bits_withSeed(second.data(), second.size(), key.low ^ ~salt);
  hash.high64 ^= key.high;
  return {hash.low64, hash.high64};
}
inline TextKey ids_key(std::span<const int32_t> ids, uint64_t salt) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(ids.data(), ids.size_bytes(), ~salt);
  return {hash.low64, hash.high64};
}

}  // namespace sis::cache
