#include "serve/admission/api_keys.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/strings.h"

namespace sis::admission {
namespace {

bool matches_any(const std::vector<std::string>& patterns, std::string_view text) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return matches(pattern, text); });
}

}  // namespace

bool matches(const std::string& pattern, std::string_view text) {
  if (!pattern.ends_with('*')) return text == pattern;
  return text.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

bool is_key_name(std::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool ApiKey::may_use_model(std::string_view model) const { return matches_any(models, model); }
bool ApiKey::may_use_route(std::string_view path) const { return matches_any(routes, path); }

// A hash is as good as random: its first bytes spread by themselves. That their bucket can be timed
// tells nothing about the key.
size_t KeyRing::FirstBytes::operator()(const Sha256& hash) const {
  size_t value = 0;
  std::memcpy(&value, hash.data(), sizeof value);
  return value;
}

Result<KeyRing> KeyRing::create(std::vector<ApiKey> keys) {
  if (keys.size() > kKeysMax)
    return Error{Code::kInvalidArgument, concat(keys.size(), " keys, want at most ", kKeysMax)};
  KeyRing ring;
  ring.keys_ = std::move(keys);
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < ring.keys_.size(); ++i) {
    const ApiKey& key = ring.keys_[i];
    if (!names.insert(key.name).second)
      return Error{Code::kInvalidArgument, concat("two keys are named ", in_quotes(key.name))};
    const auto [at, added] = ring.by_hash_.emplace(key.hash, i);
    if (!added)
      return Error{Code::kInvalidArgument, concat("keys ", in_quotes(ring.keys_[at->second].name),
                                                  " and ", in_quotes(key.name), " are the same")};
  }
  return ring;
}

const ApiKey* KeyRing::find(const Sha256& hash) const {
  const auto it = by_hash_.find(hash);
  return it == by_hash_.end() ? nullptr : &keys_[it->second];
}

}  // namespace sis::admission
