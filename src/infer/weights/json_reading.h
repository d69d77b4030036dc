// What the readers of this folder share on top of simdjson.
#pragma once

#include <simdjson.h>

#include <string_view>

#include "base/result.h"
#include "base/strings.h"

namespace sis::weights {

// "shape: want an array of integers (The JSON element does not have the requested type.)"
inline Error json_error(std::string_view what, simdjson::error_code fault) {
  return {Code::kInvalidArgument, concat(what, " (", simdjson::error_message(fault), ")")};
}

}  // namespace sis::weights
