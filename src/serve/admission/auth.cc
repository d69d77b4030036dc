#include "serve/admission/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "base/strings.h"

namespace sis::admission {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Sha256 sha256(std::string_view text) {
  Sha256 hash{};
  SIS_CHECK(EVP_Digest(text.data(), text.size(), hash.data(), nullptr, EVP_sha256(), nullptr) == 1,
            "SHA-256 is not available");
  return hash;
}

std::string to_hex(const Sha256& hash) {
  std::string text;
  text.reserve(64);
  for (const uint8_t byte : hash) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::optional<Sha256> parse_sha256(std::string_view hex) {
  Sha256 hash{};
  if (hex.size() != 2 * hash.size()) return std::nullopt;
  for (size_t i = 0; i < hash.size(); ++i) {
    const int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    hash[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return hash;
}

bool same_hash(const Sha256& a, const Sha256& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string make_key() {
  uint8_t bytes[32];
  SIS_CHECK(RAND_bytes(bytes, sizeof bytes) == 1, "the system gives no randomness");
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string key(kKeyPrefix);
  uint32_t bits = 0;
  int held = 0;
  for (const uint8_t byte : bytes) {
    bits = bits << 8 | byte;
    for (held += 8; held >= 6; held -= 6) key += kDigits[bits >> (held - 6) & 63];
  }
  key += kDigits[bits << (6 - held) & 63];  // 256 bits leave 4 over
  OPENSSL_cleanse(bytes, sizeof bytes);
  return key;
}

std::optional<std::string_view> bearer_token(std::string_view header) {
  constexpr std::string_view kScheme = "bearer ";
  if (header.size() <= kScheme.size() || !iequals(header.substr(0, kScheme.size()), kScheme))
    return std::nullopt;
  const std::string_view token = trim(header.substr(kScheme.size()));
  if (token.empty() || token.size() > kTokenBytesMax) return std::nullopt;
  for (const char c : token)
    if (c <= ' ' || c >= 0x7F) return std::nullopt;
  return token;
}

}  // namespace sis::admission
