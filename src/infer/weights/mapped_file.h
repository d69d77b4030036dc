// A regular file mapped read-only and private. Move only; any thread may read.
//
// The mapping does not survive the file being cut short by somebody else: reading a page past the
// new end raises SIGBUS, which no check of ours can prevent. changed() narrows the window at load
// time, and downloads replace files by rename, which leaves a mapping whole. Do not edit a
// checkpoint in place while it is served.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace sis::weights {

class MappedFile {
 public:
  // Symbolic links are followed: model caches keep their files behind them. kNotFound when there is
  // no such file; kInvalidArgument when it is a folder, a pipe, a device, or empty.
  static Result<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // True when size or modification time are no longer those of open().
  bool changed() const;
  // Drops the pages under [begin, end) from this process; they come back from the file when read
  // again.
  void release(int64_t begin, int64_t end) const;

 private:
  MappedFile() = default;

  std::string path_;
  int file_ = -1;  // kept open for changed()
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t modified_ns_ = 0;
};

}  // namespace sis::weights
