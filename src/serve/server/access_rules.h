// Who may ask what, how often: everything the front door decides by, as one immutable snapshot.
//
// Made of settings and the files they name, at the start and again on SIGHUP.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/settings.h"
#include "serve/admission/api_keys.h"
#include "serve/admission/rate_client.h"
#include "serve/admission/rate_limits.h"

namespace sis::server {

// What one client gets.
struct Grant {
  admission::RateWindows windows;
  std::optional<int64_t> concurrent;
  bool is_unlimited() const { return windows.requests.empty() && !windows.tokens && !concurrent; }
};

struct EndpointRule {
  std::string path;  // a pattern, see admission::matches()
  admission::RateWindows windows;
};

struct AccessRules {
  admission::KeyRing keys;
  std::vector<Grant> grants;        // of each of `keys`, same order
  bool keys_required = false;       // API_KEYS is set: every route but the open ones wants a key
  bool infer_key_required = false;  // /v1/infer wants one even so
  std::string infer_off;            // not empty: /v1/infer is off, in these words
  std::optional<admission::Sha256> metrics_key;
  Grant standing;  // of clients without a key
  std::vector<EndpointRule> endpoints;
  admission::TrustedProxies proxies;

  bool needs_key(std::string_view path) const;
  // The first that matches; null when none does.
  const EndpointRule* endpoint(std::string_view path) const;
  const Grant& grant(const admission::ApiKey* key) const {
    return key ? grants[static_cast<size_t>(key - keys.keys().data())] : standing;
  }
};

// Errors name the setting, or the file and its line; none shows a secret. `mock`: what is served
// stays that for good, whatever the settings of a reload say.
Result<AccessRules> load_access_rules(const Settings& settings, bool mock);

// The file of API_KEYS; empty when that is not set or holds the keys itself.
Result<std::string> keys_file_of(const Settings& settings);

// Whether the path is that of the inference API whose token is TRUTHGPT_API_TOKEN.
bool is_infer_path(std::string_view path);

}  // namespace sis::server
