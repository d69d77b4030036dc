#include "serve/api/webhook/webhook_signature.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <cmath>

#include "base/check.h"
#include "base/strings.h"
#include "serve/api/json_body.h"
#include "serve/api/sorted_json.h"

namespace sis::api {
namespace {

constexpr size_t kHexDigits = 64;

// Of equal length: no byte of the secret's work is told by how long this takes.
bool same_digits(const std::string& right, const std::string& given) {
  return right.size() == given.size() &&
         CRYPTO_memcmp(right.data(), given.data(), right.size()) == 0;
}

}  // namespace

std::string webhook_signature(std::string_view secret, std::string_view timestamp,
                              std::string_view body) {
  std::string text;
  text.reserve(timestamp.size() + 1 + body.size());
  text.append(timestamp).append(1, '.').append(body);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  const auto* made =
      HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
  SIS_CHECK(made && size * 2 == kHexDigits, "OpenSSL has no HMAC-SHA256");
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

std::string webhook_signature_digits(std::string_view given) {
  given = trim(given);
  if (given.starts_with("sha256=")) given.remove_prefix(7);
  return to_lower(given);
}

bool webhook_signature_matches(std::string_view secret, std::string_view timestamp,
                               std::string_view body, std::string_view given) {
  const std::string digits = webhook_signature_digits(given);
  if (digits.size() != kHexDigits) return false;
  if (same_digits(webhook_signature(secret, timestamp, body), digits)) return true;
  if (body.size() > kSortedBytesMax) return false;
  const auto object = parse_body(body);
  if (!object.ok()) return false;
  for (const SortedJsonStyle& style : {SortedJsonStyle{", ", ": ", true}, {",", ":", true}}) {
    std::string sorted;
    append_sorted_json(sorted, *object, style);
    if (same_digits(webhook_signature(secret, timestamp, sorted), digits)) return true;
  }
  return false;
}

Status check_webhook_time(std::string_view timestamp, double now_seconds, double window_seconds) {
  const auto seconds = parse_double(timestamp);
  if (!seconds)
    return Error{Code::kUnauthenticated,
                 timestamp.empty()
                     ? std::string("X-Timestamp is missing: want unix seconds")
                     : concat("X-Timestamp: want unix seconds, got ", in_quotes(timestamp, 40))};
  const double off = std::abs(*seconds - now_seconds);
  if (off <= window_seconds) return {};
  return Error{Code::kUnauthenticated,
               fmt::format("X-Timestamp is {:.0f} s from this server's time, at most {:.0f} s are "
                           "allowed (WEBHOOK_TIMESTAMP_WINDOW)",
                           off, window_seconds)};
}

}  // namespace sis::api
