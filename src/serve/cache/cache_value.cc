#include "serve/cache/cache_value.h"

#include <xxhash.h>

#include <cstring>

namespace sis::cache {
namespace {

constexpr std::string_view kMagic{"SISR\1\0\0\0", 8};

void append_le64(std::string& out, uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(value >> shift & 0xFF);
}

// Everything before the bytes.
std::string header_of(const CacheKey& key, std::string_view bytes) {
  uint64_t seed;
  std::memcpy(&seed, key.digest.data() + 8, sizeof seed);
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  std::string header(kMagic);
  append_le64(header, bytes.size());
  append_le64(header, hash.low64);
  append_le64(header, hash.high64);
  return header;
}

}  // namespace

std::string encode_cache_value(const CacheKey& key, std::string_view bytes) {
  return header_of(key, bytes).append(bytes);
}

std::optional<std::string_view> decode_cache_value(const CacheKey& key, std::string_view value) {
  if (value.size() < kCacheValueHeaderBytes || !value.starts_with(kMagic)) return std::nullopt;
  const std::string_view bytes = value.substr(kCacheValueHeaderBytes);
  if (!value.starts_with(header_of(key, bytes))) return std::nullopt;
  return bytes;
}

}  // namespace sis::cache
