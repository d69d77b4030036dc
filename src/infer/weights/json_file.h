// Small files of a checkpoint's folder, read whole with limits: config.json and friends.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace sis::weights {

struct JsonLimits {
  size_t bytes_max = 16 << 20;
  int depth_max = 64;             // of arrays and objects inside each other
  size_t values_max = 1'000'000;  // keys, elements and scalars together, about
};

// The text of a regular file (links followed). kNotFound when there is none; kTooLarge over the
// limit. The message names the file.
Result<std::string> read_text_file(const std::string& path, size_t bytes_max);

// The same, parsed. Strict JSON in UTF-8 (a byte order mark is allowed); of a key given twice the
// last counts, as in Python's reader. kInvalidArgument naming file and place for what is wrong
// inside.
Result<nlohmann::json> read_json_file(const std::string& path, const JsonLimits& limits = {});

}  // namespace sis::weights
