// Any bytes as a file of API keys or of rate limits: refused with the file's name, or read; keys
// that were read are the same when written and read again.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "serve/server/access_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sis;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto keys = server::parse_keys(text, "keys.yaml"); keys.ok()) {
    const auto again = server::parse_keys(server::render_keys(*keys), "again.yaml");
    SIS_CHECK(again.ok(), again.error().message);
    SIS_CHECK(*again == *keys, server::render_keys(*keys));
    (void)admission::KeyRing::create(*keys);
  } else {
    SIS_CHECK(keys.error().message.starts_with("keys.yaml"), keys.error().message);
  }
  if (const auto limits = server::parse_limits(text, "limits.yaml"); limits.ok()) {
    for (const auto& endpoint : limits->endpoints)
      SIS_CHECK(admission::windows_of(endpoint.limits, endpoint.path).requests.size() <= 2);
  } else {
    SIS_CHECK(limits.error().message.starts_with("limits.yaml"), limits.error().message);
  }
  (void)server::parse_utc(text);
  return 0;
}
