#include "serve/cache/cache_key.h"

#include <openssl/evp.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/strings.h"

namespace sis::cache {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

constexpr size_t kDepthMax = 64;
constexpr size_t kKeptBytesMax = 256 << 10;              // a parser takes ten times that
constexpr double kExactIntegerMax = 9007199254740992.0;  // 2^53

void append_framed(std::string& out, std::string_view bytes) {
  out += concat(bytes.size(), ":");
  out += bytes;
}

// Integers as they are, whole doubles like them; other doubles with all digits that tell them
// apart.
void append_number(std::string& out, double value) {
  if (std::abs(value) <= kExactIntegerMax && value == std::trunc(value))
    out += concat(static_cast<int64_t>(value));
  else
    out += fmt::format("{:.17g}", value);
}

using Member = std::pair<std::string_view, element>;

using Names = std::span<const std::string_view>;

// `skip` is for the outermost object only.
void append(std::string& out, const element& value, Names skip) {
  switch (value.type()) {
    case element_type::OBJECT: {
      std::vector<Member> members;
      for (const auto [key, member] : simdjson::dom::object(value)) {
        if (!skip.empty() &&
            (member.is_null() || std::find(skip.begin(), skip.end(), key) != skip.end()))
          continue;
        members.emplace_back(key, member);
      }
      // Stable: a key that comes twice keeps its order, as that may decide what it means.
      std::stable_sort(members.begin(), members.end(),
                       [](const Member& a, const Member& b) { return a.first < b.first; });
      out += '{';
      for (const auto& [key, member] : members) {
        append_framed(out, key);
        append(out, member, {});
        out += ',';
      }
      out += '}';
      return;
    }
    case element_type::ARRAY:
      out += '[';
      for (const element item : simdjson::dom::array(value)) {
        append(out, item, {});
        out += ',';
      }
      out += ']';
      return;
    case element_type::STRING:
      out += '"';
      append_framed(out, std::string_view(value));
      return;
    case element_type::INT64:
      out += concat(int64_t(value));
      return;
    case element_type::UINT64:
      out += concat(uint64_t(value));
      return;
    case element_type::DOUBLE:
      append_number(out, value);
      return;
    case element_type::BOOL:
      out += bool(value) ? "true" : "false";
      return;
    case element_type::NULL_VALUE:
      out += "null";
      return;
  }
}

}  // namespace

std::string CacheKey::hex() const {
  std::string text;
  text.reserve(2 * digest.size());
  for (const uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

Result<std::string> canonical_json(std::string_view json, Names skip) {
  // A thread keeps its parser and the padded copy; a huge document's are given back.
  thread_local simdjson::dom::parser parser;
  thread_local std::string padded;
  if (parser.capacity() > kKeptBytesMax) parser = simdjson::dom::parser();
  if (padded.capacity() > kKeptBytesMax) padded = std::string();
  padded.reserve(json.size() + simdjson::SIMDJSON_PADDING);
  padded.assign(json);
  if ((parser.capacity() < json.size() || parser.max_depth() != kDepthMax) &&
      parser.allocate(json.size(), kDepthMax) != simdjson::SUCCESS)
    return Error{Code::kInternal, concat("cache key: no memory for ", json.size(), " bytes")};
  element document;
  if (const auto fault =
          parser.parse(padded.data(), padded.size(), /*realloc_if_needed=*/false).get(document);
      fault != simdjson::SUCCESS)
    return Error{Code::kInvalidArgument,
                 concat("cache key: want JSON at most ", kDepthMax, " levels deep, got ",
                        in_quotes(json, 40), ": ", simdjson::error_message(fault))};
  std::string out;
  out.reserve(json.size() + json.size() / 4);
  append(out, document, skip);
  return out;
}

Result<CacheKey> cache_key(const KeyParts& parts, PromptForm form) {
  std::string params;
  if (!parts.params.empty()) {
    SIS_ASSIGN(params, canonical_json(parts.params, parts.params_skip));
  }
  const std::string_view prompt = form == PromptForm::kExact ? parts.prompt : trim(parts.prompt);
  std::string text = "sis response 1;";
  for (const std::string_view part : {parts.route, parts.model, parts.fingerprint, parts.defaults,
                                      parts.salt, std::string_view(params)})
    append_framed(text, part);
  if (form == PromptForm::kLowerCase)
    append_framed(text, to_lower(prompt));
  else
    append_framed(text, prompt);
  CacheKey key;
  unsigned bytes = 0;
  SIS_CHECK(
      EVP_Digest(text.data(), text.size(), key.digest.data(), &bytes, EVP_sha256(), nullptr) == 1 &&
          bytes == key.digest.size(),
      "SHA-256 failed");
  return key;
}

}  // namespace sis::cache
