#include "demo_server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/strings.h"

namespace sis::apps {
namespace {

constexpr size_t kLinesMax = 1000;

class Child final : public DemoServer {
 public:
  Child(pid_t process, int said_fd) : process_(process), said_fd_(said_fd) {}
  ~Child() override {
    if (!ended_) {
      kill(process_, SIGTERM);
      waitpid(process_, nullptr, 0);
    }
    close(said_fd_);
  }

  const std::string& url() const override { return url_; }
  const std::vector<std::string>& said() const override { return lines_; }

  // Reads what the server says until it tells its address, which it does when it is ready.
  Status wait_ready(Duration timeout) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    while (url_.empty()) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          until - std::chrono::steady_clock::now());
      if (left.count() <= 0)
        return Error{Code::kDeadline,
                     concat("the server was not ready within ", to_seconds(timeout), " s")};
      if (!take_some(static_cast<int>(left.count()))) {
        waitpid(process_, nullptr, 0);
        ended_ = true;
        return Error{Code::kUnavailable,
                     concat("the server ended at once: ",
                            lines_.empty() ? "it said nothing" : lines_.back())};
      }
    }
    // The rest of its greeting comes in one go.
    while (lines_.size() < kLinesMax && take_some(20) && !idle_) {
    }
    return {};
  }

 private:
  // False at the end of what it says.
  bool take_some(int wait_ms) {
    pollfd ready{said_fd_, POLLIN, 0};
    idle_ = poll(&ready, 1, wait_ms) == 0;
    if (idle_) return true;
    char bytes[4096];
    const ssize_t count = read(said_fd_, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) return true;
    if (count <= 0) return false;
    partial_.append(bytes, static_cast<size_t>(count));
    for (size_t end; (end = partial_.find('\n')) != std::string::npos; partial_.erase(0, end + 1)) {
      lines_.push_back(partial_.substr(0, end));
      const size_t at = lines_.back().find(" on http://");
      if (lines_.back().starts_with("sis ") && at != std::string::npos) {
        const size_t begin = at + 4, stop = lines_.back().find(',', begin);
        url_ = lines_.back().substr(begin, stop == std::string::npos ? stop : stop - begin);
      }
    }
    return true;
  }

  const pid_t process_;
  const int said_fd_;
  std::string url_, partial_;
  std::vector<std::string> lines_;
  bool ended_ = false, idle_ = false;
};

// In the child: a quiet server on a free port that goes when its parent goes.
[[noreturn]] void become_server(int said_fd) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  const int nowhere = open("/dev/null", O_RDWR);
  dup2(nowhere, 0);
  dup2(nowhere, 1);  // its log
  dup2(said_fd, 2);
  setenv("HOST", "127.0.0.1", 1);
  setenv("PORT", "0", 1);
  unsetenv("TLS_CERT_FILE");
  unsetenv("TLS_KEY_FILE");
  char name[] = "sis", command[] = "serve";
  char* arguments[] = {name, command, nullptr};
  execv("/proc/self/exe", arguments);
  _exit(127);
}

}  // namespace

Result<std::unique_ptr<DemoServer>> DemoServer::start(Duration timeout) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return Error{Code::kInternal, concat("no pipe: ", std::strerror(errno))};
  const pid_t process = fork();
  if (process < 0) {
    close(ends[0]);
    close(ends[1]);
    return Error{Code::kInternal, concat("no new process: ", std::strerror(errno))};
  }
  if (process == 0) become_server(ends[1]);
  close(ends[1]);
  auto child = std::make_unique<Child>(process, ends[0]);
  SIS_TRY(child->wait_ready(timeout));
  return std::unique_ptr<DemoServer>(std::move(child));
}

}  // namespace sis::apps
