// Any bytes as a stored value: nothing, or exactly the value that encodes what was found.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "serve/cache/cache_value.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sis::cache;
  const std::string_view value(reinterpret_cast<const char*>(data), size);
  const CacheKey key{};
  if (const auto bytes = decode_cache_value(key, value))
    if (encode_cache_value(key, *bytes) != value) std::abort();
  const auto stored = encode_cache_value(key, value);
  if (decode_cache_value(key, stored) != value) std::abort();
  CacheKey other = key;
  other.digest[8] = 1;
  if (decode_cache_value(other, stored)) std::abort();
  return 0;
}
