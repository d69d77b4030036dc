#include "base/file.h"

#include <fstream>

#include "base/strings.h"

namespace sis {

Result<std::string> read_file(const std::filesystem::path& path, uintmax_t bytes_max) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    return Error{Code::kNotFound, concat(path.string(), ": no such file")};
  if (!std::filesystem::is_regular_file(path, error))
    return Error{Code::kInvalidArgument, concat(path.string(), ": not a regular file")};
  const uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error) return Error{Code::kInternal, concat(path.string(), ": ", error.message())};
  if (bytes > bytes_max)
    return Error{Code::kTooLarge,
                 concat(path.string(), ": ", bytes, " bytes, want at most ", bytes_max)};
  std::ifstream file(path, std::ios::binary);
  std::string content(static_cast<size_t>(bytes), '\0');
  if (!file.read(content.data(), static_cast<std::streamsize>(bytes)))
    return Error{Code::kInternal, concat(path.string(), ": cannot be read whole")};
  return content;
}

}  // namespace sis
