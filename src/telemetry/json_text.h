// Text as a JSON string, whatever the bytes: the one escaper of log lines and small hand-made
// bodies.
#pragma once

#include <string>
#include <string_view>

namespace sis::telemetry {

// Appends `text` with its quotes. Ill-formed UTF-8 becomes U+FFFD byte by byte, so the result
// always is valid.
void append_json_string(std::string& out, std::string_view text);

}  // namespace sis::telemetry
