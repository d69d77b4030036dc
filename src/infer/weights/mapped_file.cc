#include "infer/weights/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/strings.h"

namespace sis::weights {
namespace {

int64_t modified_ns(const struct stat& status) {
  return status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
}

Error system_error(const std::string& path, const char* what, int number) {
  const Code code =
      number == ENOENT || number == ENOTDIR ? Code::kNotFound : Code::kInvalidArgument;
  return {code, concat(path, ": ", what, ": ", std::strerror(number))};
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  MappedFile file;
  file.path_ = path;
  // O_NONBLOCK: opening a pipe nobody writes to would wait for ever.
  file.file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.file_ < 0) return system_error(path, "cannot open", errno);
  struct stat status {};
  if (fstat(file.file_, &status) != 0) return system_error(path, "cannot read its size", errno);
  if (!S_ISREG(status.st_mode))
    return Error{Code::kInvalidArgument, concat(path, ": want a regular file")};
  if (status.st_size <= 0)
    return Error{Code::kInvalidArgument, concat(path, ": the file is empty")};
  file.modified_ns_ = modified_ns(status);
  const auto size = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.file_, 0);
  if (data == MAP_FAILED) return system_error(path, "cannot map", errno);
  file.data_ = static_cast<const std::byte*>(data);
  file.size_ = size;
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(modified_ns_, other.modified_ns_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<std::byte*>(data_), size_);
  if (file_ >= 0) close(file_);
}

bool MappedFile::changed() const {
  struct stat status {};
  return fstat(file_, &status) != 0 || status.st_size != static_cast<off_t>(size_) ||
         modified_ns(status) != modified_ns_;
}

void MappedFile::release(int64_t begin, int64_t end) const {
  if (begin >= end) return;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto base = reinterpret_cast<uintptr_t>(data_);
  // Outwards to whole pages: a neighbour's share of the edge pages is clean too and only costs a
  // page fault.
  const uintptr_t first = (base + static_cast<uintptr_t>(begin)) / page * page;
  const uintptr_t last = (base + static_cast<uintptr_t>(end) + page - 1) / page * page;
  madvise(reinterpret_cast<void*>(first), last - first,
          MADV_DONTNEED);  // advice: failing changes nothing
}

}  // namespace sis::weights
