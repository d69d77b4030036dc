#include "perf/report/write_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/strings.h"

namespace sis::perf {
namespace {

Error cannot_write(const std::string& path, int reason) {
  return Error{Code::kInternal,
               concat("cannot write ", in_quotes(path, 300), ": ", std::strerror(reason))};
}

// 0 or the reason.
int write_all(int file, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    content.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

int close_file(int file) { return ::close(file) == 0 ? 0 : errno; }

mode_t usual_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

// Where the bytes for a path go.
struct Place {
  bool exists = false, regular = true;  // a file that is to be made is a regular one
  mode_t mode = 0;                      // of one that exists
  std::string target;                   // behind the links
};

Result<Place> place_of(const std::string& path) {
  if (path.empty()) return Error{Code::kInvalidArgument, "cannot write a file without a name"};
  Place place{.target = path};
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return place;
  if (S_ISDIR(found.st_mode)) return cannot_write(path, EISDIR);
  place.exists = true;
  place.regular = S_ISREG(found.st_mode);
  place.mode = found.st_mode & 07777;
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (real != nullptr) place.target = real.get();
  return place;
}

// A new file beside `target`, open; below 0: `errno` tells why not.
int open_scratch(const std::string& target, std::string& name) {
  name = target + ".XXXXXX";
  return ::mkostemp(name.data(), O_CLOEXEC);
}

}  // namespace

Status write_file(const std::string& path, std::string_view content) {
  SIS_ASSIGN(const Place place, place_of(path));
  if (!place.regular) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0) return cannot_write(path, errno);
    const int reason = write_all(file, content), closed = close_file(file);
    if (reason != 0 || closed != 0) return cannot_write(path, reason != 0 ? reason : closed);
    return {};
  }

  std::string scratch;
  const int file = open_scratch(place.target, scratch);
  if (file < 0) return cannot_write(path, errno);
  int reason = write_all(file, content);
  if (reason == 0 && ::fchmod(file, place.exists ? place.mode : usual_mode()) != 0) reason = errno;
  if (const int closed = close_file(file); reason == 0) reason = closed;
  if (reason == 0 && std::rename(scratch.c_str(), place.target.c_str()) != 0) reason = errno;
  if (reason == 0) return {};
  ::unlink(scratch.c_str());
  return cannot_write(path, reason);
}

Status check_writable(const std::string& path) {
  SIS_ASSIGN(const Place place, place_of(path));
  if (!place.regular) {
    if (::access(path.c_str(), W_OK) != 0) return cannot_write(path, errno);
    return {};
  }
  std::string scratch;
  const int file = open_scratch(place.target, scratch);
  if (file < 0) return cannot_write(path, errno);
  ::unlink(scratch.c_str());
  ::close(file);
  return {};
}

}  // namespace sis::perf
