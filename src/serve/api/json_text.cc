#include "serve/api/json_text.h"

#include <array>
#include <charconv>
#include <cstring>

namespace sis::api {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Two characters for every 12 bits: half the look-ups of the plain table.
constexpr auto kPairs = [] {
  std::array<std::array<char, 2>, 4096> pairs{};
  for (size_t i = 0; i < 4096; ++i) pairs[i] = {kAlphabet[i >> 6], kAlphabet[i & 63]};
  return pairs;
}();

}  // namespace

void append_int(std::string& out, int64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

void append_float(std::string& out, float value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

void append_base64(std::string& out, std::span<const std::byte> bytes) {
  const size_t at = out.size(), size = (bytes.size() + 2) / 3 * 4;
  out.resize(at + size);
  char* to = out.data() + at;
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  size_t left = bytes.size();
  for (; left >= 3; left -= 3, from += 3, to += 4) {
    const uint32_t bits = static_cast<uint32_t>(from[0]) << 16 | from[1] << 8 | from[2];
    std::memcpy(to, kPairs[bits >> 12].data(), 2);
    std::memcpy(to + 2, kPairs[bits & 4095].data(), 2);
  }
  if (left > 0) {
    const uint32_t bits = static_cast<uint32_t>(from[0]) << 16 | (left == 2 ? from[1] << 8 : 0);
    to[0] = kAlphabet[bits >> 18];
    to[1] = kAlphabet[bits >> 12 & 63];
    to[2] = left == 2 ? kAlphabet[bits >> 6 & 63] : '=';
    to[3] = '=';
  }
}

}  // namespace sis::api
