// Under which key a response is kept: SHA-256 over everything the response depends on.
//
// Parts are framed by their lengths, so that no two lists of parts give the same bytes. JSON is
// taken in a canonical form: keys sorted, no white space, 1.0 as 1, strings unescaped. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::cache {

struct CacheKey {
  std::array<uint8_t, 32> digest{};

  bool operator==(const CacheKey&) const = default;
  std::string hex() const;  // 64 lower-case digits
};
struct CacheKeyHash {
  size_t operator()(const CacheKey& key) const {
    size_t hash;
    std::memcpy(&hash, key.digest.data(), sizeof hash);
    return hash;
  }
};

// What a response depends on. Whatever is missing here is answered wrongly from the cache.
struct KeyParts {
  std::string_view route;        // "/v1/infer": routes never share responses
  std::string_view model;        // the name in the request
  std::string_view fingerprint;  // of the loaded weights, their types and this program
  std::string_view defaults;     // settings that fill in what the request leaves open
  std::string_view prompt;       // a text; empty when the prompt lies in `params`
  std::string_view params;  // a JSON document: parameters, messages, a whole body; may be empty
  // Members of the outermost object of `params` that do not matter; with any, its nulls do not.
  std::span<const std::string_view> params_skip;
  std::string_view salt;  // of the client: clients with different salts share nothing
};

enum class PromptForm : uint8_t {
  kExact,
  kTrimmed,    // ASCII white space off both ends
  kLowerCase,  // trimmed, and ASCII letters in lower case
};

// `form` is what prompts may differ in and still share a response; only `prompt` is changed, never
// what lies in `params`. kInvalidArgument when `params` is no JSON or nested deeper than 64: such a
// request is not cached.
Result<CacheKey> cache_key(const KeyParts& parts, PromptForm form = PromptForm::kExact);

// The canonical form of a JSON document, for hashing: no JSON itself. `skip` as in KeyParts.
Result<std::string> canonical_json(std::string_view json,
                                   std::span<const std::string_view> skip = {});

}  // namespace sis::cache
