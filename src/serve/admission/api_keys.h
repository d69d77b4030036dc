// API keys: who may ask, for what, how much. Only hashes are known here, never a key.
//
// A KeyRing is built once and then only read, from any thread; a reload makes a new one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "serve/admission/auth.h"
#include "serve/admission/rate_limits.h"

namespace sis::admission {

inline constexpr size_t kKeysMax = 10000;
inline constexpr size_t kPatternsMax = 100;  // models or routes of one key
inline constexpr int64_t kPriorityMax = 100;

struct ApiKey {
  std::string name;  // 1 to 64 of [A-Za-z0-9._-]; what logs show
  Sha256 hash{};     // of the whole key, prefix included
  RateLimits limits;
  int priority = 0;  // -kPriorityMax..kPriorityMax, higher goes first
  // Exact names, or with a trailing '*' all that begin so; none: every one.
  std::vector<std::string> models, routes;
  int64_t created_at = 0;             // unix seconds; 0: not known
  std::optional<int64_t> expires_at;  // unix seconds
  bool operator==(const ApiKey&) const = default;

  bool may_use_model(std::string_view model) const;
  bool may_use_route(std::string_view path) const;
};

bool is_key_name(std::string_view name);
// "/v1/*" matches "/v1/models"; "/v1/models" only itself.
bool matches(const std::string& pattern, std::string_view text);

class KeyRing {
 public:
  // kInvalidArgument: two keys of one name or one hash, or more than kKeysMax.
  static Result<KeyRing> create(std::vector<ApiKey> keys);

  // The key whose hash this is; null when there is none. An expired key is found too.
  const ApiKey* find(const Sha256& hash) const;
  const std::vector<ApiKey>& keys() const { return keys_; }

 private:
  struct FirstBytes {
    size_t operator()(const Sha256& hash) const;
  };
  struct SameHash {
    bool operator()(const Sha256& a, const Sha256& b) const { return same_hash(a, b); }
  };
  std::vector<ApiKey> keys_;
  std::unordered_map<Sha256, size_t, FirstBytes, SameHash> by_hash_;
};

// Whether the key may be used at that time.
inline bool is_expired(const ApiKey& key, int64_t unix_now) {
  return key.expires_at && *key.expires_at <= unix_now;
}

}  // namespace sis::admission
