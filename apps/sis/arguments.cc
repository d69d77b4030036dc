#include "arguments.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "base/strings.h"

namespace sis::apps {
namespace {

// As CLI11 reads integers, which takes hexadecimal ones too.
std::optional<int64_t> whole_number(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const int64_t value = std::strtoll(text.c_str(), &end, 0);
  if (text.empty() || errno != 0 || end != text.c_str() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

CLI::Validator number_from(double least, double most) {
  return {[=](std::string& text) {
            const auto value = parse_double(text);
            if (value && *value >= least && *value <= most) return std::string();
            return concat("want a number from ", least, " to ", most, ", got ", in_quotes(text));
          },
          concat(least, " to ", most)};
}

CLI::Validator whole_number_from(int64_t least, int64_t most) {
  return {[=](std::string& text) {
            const auto value = whole_number(text);
            if (value && *value >= least && *value <= most) return std::string();
            return concat("want a whole number from ", least, " to ", most, ", got ",
                          in_quotes(text));
          },
          concat(least, " to ", most)};
}

CLI::Validator isa_word() {
  return CLI::IsMember({"auto", "ref", "avx2", "avx512", "avx512_bf16", "amx"});
}

Result<std::string> read_input(const std::string& path) {
  if (path == "-")
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  const auto failed = [&] {
    return Error{Code::kNotFound,
                 concat("--input: cannot read ", in_quotes(path), ": ", std::strerror(errno))};
  };
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return failed();
  std::string text;
  char piece[1 << 16];
  for (;;) {
    const size_t got = std::fread(piece, 1, sizeof piece, file.get());
    text.append(piece, got);
    if (std::ferror(file.get()) != 0) return failed();
    if (got < sizeof piece) return text;
  }
}

}  // namespace sis::apps
