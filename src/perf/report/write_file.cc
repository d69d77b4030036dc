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

}  // namespace

Status write_file(const std::string& path, std::string_view content) {
  if (path.empty()) return Error{Code::kInvalidArgument, "cannot write a file without a name"};
  struct stat found {};
  const bool exists = ::stat(path.c_str(), &found) == 0;
  if (exists && S_ISDIR(found.st_mode)) return cannot_write(path, EISDIR);
  if (exists && !S_ISREG(found.st_mode)) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0) return cannot_write(path, errno);
    const int reason = write_all(file, content), closed = close_file(file);
    if (reason != 0 || closed != 0) return cannot_write(path, reason != 0 ? reason : closed);
    return {};
  }

  std::string target = path;
  if (exists) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           &std::free);
    if (real != nullptr) target = real.get();
  }
  std::string scratch = target + ".XXXXXX";
  const int file = ::mkostemp(scratch.data(), O_CLOEXEC);
  if (file < 0) return cannot_write(path, errno);
  int reason = write_all(file, content);
  if (reason == 0 && ::fchmod(file, exists ? found.st_mode & 07777 : usual_mode()) != 0)
    reason = errno;
  if (const int closed = close_file(file); reason == 0) reason = closed;
  if (reason == 0 && std::rename(scratch.c_str(), target.c_str()) != 0) reason = errno;
  if (reason == 0) return {};
  ::unlink(scratch.c_str());
  return cannot_write(path, reason);
}

}  // namespace sis::perf
