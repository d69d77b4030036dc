#include "serve/server/access_rules.h"

#include <algorithm>

#include "base/file.h"
#include "base/strings.h"
#include "serve/server/access_file.h"
#include "serve/server/catalog_tree.h"
#include "serve/server/settings_table.h"

namespace sis::server {
namespace {

using admission::ApiKey;
using admission::RateWindow;
using admission::RateWindows;

constexpr const char* kInferKeyName = "TRUTHGPT_API_TOKEN";

Error setting_error(const Settings& settings, const char* name, std::string_view what) {
  return {Code::kInvalidArgument, concat(name, " (", settings.source_of(name), "): ", what)};
}

// "alice:<sha256>,bob:<sha256>"
Result<std::vector<ApiKey>> parse_pairs(const Settings& settings, std::string_view value) {
  std::vector<ApiKey> keys;
  for (const std::string& item : split_list(value)) {
    const size_t colon = item.find(':');
    const auto hash = colon == item.npos
                          ? std::nullopt
                          : admission::parse_sha256(std::string_view(item).substr(colon + 1));
    if (!hash || !admission::is_key_name(std::string_view(item).substr(0, colon)))
      return setting_error(settings, "API_KEYS",
                           concat("item ", keys.size() + 1, ": want NAME:SHA256 of the key"));
    keys.push_back({.name = item.substr(0, colon), .hash = *hash});
  }
  return keys;
}

Result<std::vector<ApiKey>> load_keys(const Settings& settings) {
  const std::string_view value = trim(settings.text("API_KEYS"));
  if (value.empty()) return std::vector<ApiKey>();
  if (value.starts_with('[') || value.starts_with('{'))
    return parse_keys(std::string(value), "API_KEYS");
  SIS_ASSIGN(const std::string path, keys_file_of(settings));
  if (path.empty()) return parse_pairs(settings, value);
  auto text = read_file(path, kYamlBytesMax);
  if (!text.ok()) return prefixed("API_KEYS", std::move(text).error());
  return parse_keys(*text, path);
}

// The token of the inference API, unless that is off.
Status add_infer_key(const Settings& settings, std::vector<ApiKey>& keys) {
  const std::string& token = settings.text(kInferKeyName);
  const bool development = iequals(settings.text("ENVIRONMENT"), "development");
  if (settings.is_set(kInferKeyName) && is_placeholder_secret(token) && !development)
    return setting_error(settings, kInferKeyName,
                         "a published placeholder protects nothing; want a secret of your own, or "
                         "ENVIRONMENT=development");
  if (!infer_token_on(settings)) return {};
  ApiKey key;
  key.name = kInferKeyName;
  key.hash = admission::sha256(token);
  key.routes = {"/v1/infer", "/v1/infer/*"};
  keys.push_back(std::move(key));
  return {};
}

Grant grant_of(const ApiKey& key, const Grant& standing) {
  Grant grant{admission::windows_of(key.limits, ""), key.limits.concurrent};
  if (!key.limits.rpm && !key.limits.rph) grant.windows.requests = standing.windows.requests;
  if (!grant.windows.tokens) grant.windows.tokens = standing.windows.tokens;
  if (!grant.concurrent) grant.concurrent = standing.concurrent;
  return grant;
}

}  // namespace

bool is_infer_path(std::string_view path) {
  return path == "/v1/infer" || path.starts_with("/v1/infer/");
}

bool AccessRules::needs_key(std::string_view path) const {
  return keys_required || (infer_key_required && is_infer_path(path));
}

const EndpointRule* AccessRules::endpoint(std::string_view path) const {
  const auto it = std::find_if(endpoints.begin(), endpoints.end(), [&](const EndpointRule& rule) {
    return admission::matches(rule.path, path);
  });
  return it == endpoints.end() ? nullptr : &*it;
}

Result<std::string> keys_file_of(const Settings& settings) {
  const std::string value(trim(settings.text("API_KEYS")));
  if (value.empty() || value.starts_with('[') || value.starts_with('{')) return std::string();
  if (value.find('/') == value.npos && value.find(':') != value.npos) return std::string();
  // A key in the wrong place must not come back in a message.
  const bool like_path = value.find('/') != value.npos || value.find('.') != value.npos;
  if (!like_path || value.starts_with("sk-"))
    return setting_error(settings, "API_KEYS",
                         "want a file such as ./keys.yaml, a list in [..], or NAME:SHA256 pairs; "
                         "keys themselves have no place here");
  return value;
}

Result<AccessRules> load_access_rules(const Settings& settings, bool mock) {
  AccessRules rules;
  SIS_ASSIGN(auto keys, load_keys(settings));
  rules.keys_required = !trim(settings.text("API_KEYS")).empty();
  rules.infer_key_required = infer_token_on(settings);
  // Behind a mock there is nothing to protect.
  if (!infer_routes_on(settings) && !mock)
    rules.infer_off =
        "the routes under /v1/infer are off: set TRUTHGPT_API_TOKEN to a token of your own, or "
        "API_KEYS, or ENVIRONMENT=development";
  SIS_TRY(add_infer_key(settings, keys));
  auto ring = admission::KeyRing::create(std::move(keys));
  if (!ring.ok()) return prefixed("API_KEYS", std::move(ring).error());
  rules.keys = std::move(*ring);
  if (const std::string& secret = settings.text("METRICS_API_KEY"); !secret.empty())
    rules.metrics_key = admission::sha256(secret);

  LimitsFile file;
  if (const std::string& path = settings.text("RATE_LIMITS_FILE"); !path.empty()) {
    auto text = read_file(path, kYamlBytesMax);
    if (!text.ok()) return prefixed("RATE_LIMITS_FILE", std::move(text).error());
    SIS_ASSIGN(file, parse_limits(*text, path));
  }
  rules.standing = {admission::windows_of(file.standing, ""), file.standing.concurrent};
  for (const EndpointLimits& entry : file.endpoints)
    rules.endpoints.push_back({entry.path, admission::windows_of(entry.limits, entry.path + " ")});
  const RateWindow window{"window", settings.integer("RATE_LIMIT_RPM"),
                          settings.duration("RATE_LIMIT_WINDOW_SEC")};
  if (settings.is_set("RATE_LIMIT_RPM")) {
    if (rules.standing.windows.requests.empty()) rules.standing.windows.requests = {window};
  } else if (infer_token_on(settings)) {
    // Limited where the API that the setting comes from was; nowhere else unless asked for.
    for (const char* path : {"/v1/infer", "/v1/infer/*"})
      if (!rules.endpoint(path)) rules.endpoints.push_back({path, {.requests = {window}}});
  }
  for (const ApiKey& key : rules.keys.keys()) rules.grants.push_back(grant_of(key, rules.standing));

  auto proxies = admission::TrustedProxies::parse(settings.list("TRUSTED_PROXIES"));
  if (!proxies.ok()) return setting_error(settings, "TRUSTED_PROXIES", proxies.error().message);
  rules.proxies = std::move(*proxies);
  return rules;
}

}  // namespace sis::server
