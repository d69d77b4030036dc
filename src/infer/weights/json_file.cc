#include "infer/weights/json_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/strings.h"

namespace sis::weights {
namespace {

struct Descriptor {
  int value = -1;
  ~Descriptor() {
    if (value >= 0) close(value);
  }
};

// Brackets and commas outside strings, counted before anything is built: a small file can ask for a
// very deep or very wide tree.
Status check_size(std::string_view text, const JsonLimits& limits) {
  int depth = 0;
  size_t values = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
      continue;
    }
    if (c == '"')
      in_string = true;
    else if (c == '[' || c == '{')
      ++depth;
    else if (c == ']' || c == '}')
      --depth;
    if (c == ',' || c == ':' || c == '[' || c == '{') ++values;
    if (depth > limits.depth_max)
      return Error{Code::kInvalidArgument,
                   concat("JSON deeper than ", limits.depth_max, " levels at byte ", i)};
    if (values > limits.values_max)
      return Error{Code::kInvalidArgument,
                   concat("JSON of more than ", limits.values_max, " values")};
  }
  return {};
}

}  // namespace

Result<std::string> read_text_file(const std::string& path, size_t bytes_max) {
  // O_NONBLOCK: opening a pipe nobody writes to would wait for ever.
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.value < 0) {
    const Code code =
        errno == ENOENT || errno == ENOTDIR ? Code::kNotFound : Code::kInvalidArgument;
    return Error{code, concat(path, ": cannot open: ", std::strerror(errno))};
  }
  struct stat status {};
  if (fstat(file.value, &status) != 0)
    return Error{Code::kInvalidArgument,
                 concat(path, ": cannot read its size: ", std::strerror(errno))};
  if (!S_ISREG(status.st_mode))
    return Error{Code::kInvalidArgument, concat(path, ": want a regular file")};
  const auto size = static_cast<size_t>(status.st_size);
  if (size > bytes_max)
    return Error{Code::kTooLarge, concat(path, ": ", size, " bytes, want at most ", bytes_max)};
  std::string text(size, '\0');
  size_t got = 0;
  while (got < size) {
    const ssize_t count = read(file.value, text.data() + got, size - got);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return Error{Code::kInvalidArgument, concat(path, ": cannot read: ", std::strerror(errno))};
    if (count == 0) break;  // cut short meanwhile: what there is decides
    got += static_cast<size_t>(count);
  }
  text.resize(got);
  return text;
}

Result<nlohmann::json> read_json_file(const std::string& path, const JsonLimits& limits) {
  SIS_ASSIGN(const std::string text, read_text_file(path, limits.bytes_max));
  if (auto fine = check_size(text, limits); !fine) return prefixed(path, std::move(fine).error());
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& fault) {
    return Error{Code::kInvalidArgument,
                 concat(path, ": not valid JSON: ", in_quotes(fault.what(), 200))};
  }
}

}  // namespace sis::weights
