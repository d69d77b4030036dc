// What tokenizer_config.json, special_tokens_map.json and added_tokens.json say about a tokenizer
// that comes without tokenizer.json, and writing parts of one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/text/tokenizer/json.h"

namespace sis::text::tok {

// The texts of a folder's files; empty where there is none.
struct LegacyFiles {
  std::string tokenizer_config, special_tokens_map, added_tokens;
};

struct LegacyToken {
  std::string content;
  bool special = false, normalized = false, lstrip = false, rstrip = false, single_word = false;
};

struct LegacyConfig {
  std::string tokenizer_class;  // without "Fast"; empty when not given
  // "bos_token" and the like.
  std::map<std::string, LegacyToken, std::less<>> named;
  std::vector<LegacyToken> added;  // by id, then the additional special ones
  std::map<std::string, bool, std::less<>> flags;

  std::string token(std::string_view name, std::string_view fallback) const {
    const auto at = named.find(name);
    return at == named.end() ? std::string(fallback) : at->second.content;
  }
  bool flag(std::string_view name, bool fallback) const {
    const auto at = flags.find(name);
    return at == flags.end() ? fallback : at->second;
  }
};

Result<LegacyConfig> read_legacy_config(const LegacyFiles& files);

// The text with JSON's quotes and escapes.
std::string json_string(std::string_view text);
// "added_tokens":[...] of the config's tokens after `first`; each content once.
std::string added_tokens_json(const std::vector<LegacyToken>& first, const LegacyConfig& config);
// "post_processor": ids of `before` and `after` around a text, and around each of two.
std::string around_json(const std::vector<std::pair<std::string, int64_t>>& before,
                        const std::vector<std::pair<std::string, int64_t>>& after);

}  // namespace sis::text::tok
