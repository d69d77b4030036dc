// Writes JSON by appending to a string: for answers on the hot path (strings:
// telemetry/json_text.h). Everything else uses nlohmann.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sis::api {

void append_int(std::string& out, int64_t value);
// The shortest digits that read back as the same f32. Finite values only.
void append_float(std::string& out, float value);
// RFC 4648 standard alphabet with padding.
void append_base64(std::string& out, std::span<const std::byte> bytes);

}  // namespace sis::api
