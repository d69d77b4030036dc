// A response as it is stored outside this process, where anybody may have changed it.
//
//   "SISR" | version (1) | 3 zero bytes | length, 8 bytes, little-endian | XXH3-128 of the bytes,
//   seeded by the key, 16 bytes | the bytes
//
// A value that is cut, of another version, changed, or stored under another key is none. The
// checksum finds accidents; it does not keep out whoever may write to the store.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "serve/cache/cache_key.h"

namespace sis::cache {

inline constexpr size_t kCacheValueHeaderBytes = 32;

std::string encode_cache_value(const CacheKey& key, std::string_view bytes);

// The bytes, a view into `value`; nothing when it is not what was encoded for this key.
std::optional<std::string_view> decode_cache_value(const CacheKey& key, std::string_view value);

}  // namespace sis::cache
