// Builds safetensors files for the tests of this folder, right and wrong ones.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

namespace sis::weights {

inline std::string le64(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}

// A file with this JSON as its header and `data` behind it.
inline std::string file_of(std::string_view json, std::string_view data = {}) {
  return le64(json.size()) + std::string(json) + std::string(data);
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// True when `message` holds every one of `parts`.
template <class... Parts>
::testing::AssertionResult says(const std::string& message, const Parts&... parts) {
  for (const std::string_view part : {std::string_view(parts)...})
    if (message.find(part) == std::string::npos)
      return ::testing::AssertionFailure() << "want \"" << part << "\" in: " << message;
  return ::testing::AssertionSuccess();
}
#define EXPECT_SAYS(...) EXPECT_TRUE(::sis::weights::says(__VA_ARGS__))

// The bytes of plain values.
template <class T>
std::string raw(std::initializer_list<T> values) {
  std::string bytes;
  for (const T& value : values) bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  return bytes;
}

// A folder of its own that is gone afterwards.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sis_weights_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string write(std::string_view name, std::string_view bytes) const {
    std::ofstream(*this / name, std::ios::binary) << bytes;
    return *this / name;
  }

 private:
  std::string path_;
};

}  // namespace sis::weights
