// Reading whole files of bounded size.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace sis {

// kNotFound when there is no such file, kInvalidArgument when it is not a regular one, kTooLarge
// above `bytes_max`, kInternal when it cannot be read. Messages begin with the path.
Result<std::string> read_file(const std::filesystem::path& path, uintmax_t bytes_max);

}  // namespace sis
