// A fast hash of short strings for tables in memory. Not for keys that an attacker aims at a table
// of ours for long: the tables are sized at load and never hold more than a file gave them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace sis::text::tok {

inline uint64_t mix_hash(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline constexpr uint64_t kHashA = 0x9E3779B97F4A7C15, kHashB = 0xD1B54A32D192ED03,
                          kHashC = 0x8CB92BA72F3D8DD7;

inline uint64_t hash_bytes(std::string_view bytes) {
  const auto load = [&](size_t at, size_t count) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, count);
    return word;
  };
  uint64_t hash = bytes.size() * kHashA;
  size_t at = 0;
  for (; at + 8 < bytes.size(); at += 8) hash = mix_hash(hash ^ load(at, 8), kHashB);
  if (bytes.size() >= 8) return mix_hash(hash ^ load(bytes.size() - 8, 8), kHashC);
  if (bytes.size() >= 4)
    return mix_hash(hash ^ (load(0, 4) << 32 | load(bytes.size() - 4, 4)), kHashC);
  uint64_t word = 0;
  for (const char byte : bytes) word = word << 8 | static_cast<unsigned char>(byte);
  return mix_hash(hash ^ word, kHashC);
}

}  // namespace sis::text::tok
