// The files of keys and of rate limits: YAML (or JSON) of bounded size into admission's types, and
// keys back into a file. docs/api-keys.md and docs/rate-limits.md describe the forms.
//
// Errors begin with the origin and name the line.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/admission/api_keys.h"
#include "serve/admission/rate_limits.h"

namespace sis::server {

// A list of keys, or a mapping with the list as `keys`.
Result<std::vector<admission::ApiKey>> parse_keys(const std::string& text, std::string_view origin);
// The same keys as a file that parse_keys() reads.
std::string render_keys(const std::vector<admission::ApiKey>& keys);

// Reads the file (an absent one is empty), lets `change` edit the keys and writes them back, mode
// 0600, whole or not at all; others that do the same wait. An error of `change` leaves the file
// alone.
Status change_keys_file(const std::filesystem::path& path,
                        const std::function<Status(std::vector<admission::ApiKey>&)>& change);

// What one endpoint takes from each client.
struct EndpointLimits {
  std::string path;  // "/v1/infer", or "/v1/*" for all that begin so
  admission::RateLimits limits;
};
struct LimitsFile {
  admission::RateLimits standing;  // of every client that has none of its own
  std::vector<EndpointLimits> endpoints;
};
inline constexpr size_t kEndpointsMax = 100;
Result<LimitsFile> parse_limits(const std::string& text, std::string_view origin);

// "2027-01-31", "2027-01-31T12:00:00Z" to unix seconds.
Result<int64_t> parse_utc(const std::string& text);

// A number of a limit, as the files and `sis keys` take it.
Result<int64_t> parse_limit(std::string_view name, std::string_view text);

}  // namespace sis::server
