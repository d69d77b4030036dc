// Secrets of clients: how they come, how they are compared, how new ones are made.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sis::admission {

using Sha256 = std::array<uint8_t, 32>;

inline constexpr std::string_view kKeyPrefix = "sk-sis-";
inline constexpr size_t kTokenBytesMax = 512;

Sha256 sha256(std::string_view text);
std::string to_hex(const Sha256& hash);                    // 64 lower-case digits
std::optional<Sha256> parse_sha256(std::string_view hex);  // any case
// Takes as long whether they differ early, late or not at all.
bool same_hash(const Sha256& a, const Sha256& b);

// kKeyPrefix and 32 bytes of the system's randomness in URL-safe base64.
std::string make_key();

// The token of an Authorization header's value: "Bearer <token>", the word in any case, the token
// visible ASCII of at most kTokenBytesMax bytes. Nothing for any other form.
std::optional<std::string_view> bearer_token(std::string_view header);

}  // namespace sis::admission
