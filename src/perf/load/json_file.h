// JSON files that people wrote or tools exported: bounded, and complaints that say where.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::perf {

inline constexpr size_t kJsonFileBytesMax = size_t{256} << 20;
inline constexpr int kJsonDepthMax = 100;

// NaN, Infinity and -Infinity outside strings become the strings "NaN", "Infinity", "-Infinity":
// tools write them, JSON has no word for them. Errors begin with `name` and the line.
// `first_line` is the number of the text's first line in its file.
Result<nlohmann::ordered_json> parse_json_text(std::string text, const std::string& name,
                                               size_t first_line = 1);
// At most kJsonFileBytesMax.
Result<nlohmann::ordered_json> read_json_file(const std::string& path);

// nullptr when `from` has no such member or is no object.
const nlohmann::ordered_json* json_member(const nlohmann::ordered_json& from, const char* name);

// "a number", "an array", ... and a short look at it: "the string 'x'".
std::string json_shown(const nlohmann::ordered_json& value);

}  // namespace sis::perf
