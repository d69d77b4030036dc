// 10,000 idle connections on two I/O threads: they cost memory, not threads and not processor time.
//
// The clients live in a child process, so that each side needs 10,000 descriptors, not 20,000.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "net/http_server.h"
#include "net/raw_client.h"

namespace sis::net {
namespace {

using testing::get;
using testing::RawClient;

constexpr int kConnections = 10'000;
constexpr int kDescriptorsSpare = 200;

int64_t status_kib(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stoll(line.substr(field.size() + 1));
  return -1;
}

int64_t threads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

bool allow_descriptors(rlim_t wanted) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return true;
  limit.rlim_cur = wanted;
  limit.rlim_max = std::max(limit.rlim_max, wanted);
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

// Opens the connections, says so, asks over each of them when told, and leaves. Exit status 0: all
// answered.
int run_clients(int commands, int reports) {
  uint16_t port = 0;
  if (::read(commands, &port, sizeof port) != sizeof port) return 1;
  std::vector<RawClient> clients;
  clients.reserve(kConnections);
  for (int i = 0; i < kConnections; ++i) {
    clients.emplace_back(port);
    if (!clients.back().connected()) return 2;
  }
  if (::write(reports, "c", 1) != 1) return 3;
  char go;
  if (::read(commands, &go, 1) != 1) return 4;
  for (auto& client : clients)
    if (client.ask(get("/")).status != 200) return 5;
  if (::write(reports, "d", 1) != 1) return 6;
  return ::read(commands, &go, 1) == 1 ? 0 : 7;  // stay connected until told
}

TEST(HttpServerIdle, TenThousandConnectionsOnTwoThreads) {
  if (!allow_descriptors(kConnections + kDescriptorsSpare))
    GTEST_SKIP() << "cannot raise RLIMIT_NOFILE to " << kConnections + kDescriptorsSpare;
  int commands[2], reports[2];
  ASSERT_EQ(::pipe(commands), 0);
  ASSERT_EQ(::pipe(reports), 0);
  const pid_t child = ::fork();  // before there are threads
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(commands[1]);
    ::close(reports[0]);
    ::_exit(run_clients(commands[0], reports[1]));
  }
  ::close(commands[0]);
  ::close(reports[1]);

  ServerOptions options;
  options.address = "127.0.0.1";
  options.port = 0;
  options.io_threads = 2;
  const int64_t threads_before = threads();
  auto server = HttpServer::create(
      options, [](std::shared_ptr<Exchange> exchange) { exchange->respond({.body = "ok"}); });
  ASSERT_TRUE(server) << server.error().message;
  (*server)->start();
  const int64_t rss_before = status_kib("VmRSS:");
  const uint16_t port = (*server)->port();
  ASSERT_EQ(::write(commands[1], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  char report = 0;
  ASSERT_EQ(::read(reports[0], &report, 1), 1);
  for (int i = 0; i < 2000 && (*server)->stats().connections_open < kConnections; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ((*server)->stats().connections_open, kConnections);
  EXPECT_EQ(threads(), threads_before + options.io_threads);
  const int64_t rss_idle = status_kib("VmRSS:");
  const double cpu = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const double cpu_idle = cpu_seconds() - cpu;
  ASSERT_EQ(::write(commands[1], "g", 1), 1);
  ASSERT_EQ(::read(reports[0], &report, 1), 1);
  EXPECT_EQ((*server)->stats().requests, kConnections);
  const int64_t rss_used = status_kib("VmRSS:");
  std::printf(
      "%d connections: %.1f KiB each when fresh, %.1f KiB after a request; %.2f %% of a CPU while "
      "idle; "
      "RSS %.1f MiB\n",
      kConnections, static_cast<double>(rss_idle - rss_before) / kConnections,
      static_cast<double>(rss_used - rss_before) / kConnections, cpu_idle / 2 * 100,
      static_cast<double>(rss_used) / 1024);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(rss_used - rss_before, int64_t{kConnections} * 16)
      << "KiB, want below 16 per connection";
#endif
  ASSERT_EQ(::write(commands[1], "e", 1), 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  (*server)->stop();
}

}  // namespace
}  // namespace sis::net
