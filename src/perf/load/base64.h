// Base64 with padding (RFC 4648 section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sis::perf {

std::string base64_encode(std::string_view bytes);
// Nothing when a byte is no base64 or the length is wrong.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace sis::perf
