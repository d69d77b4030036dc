// A server whose behaviour is known: load generators are judged by what they report of it.
//
//   truth_server [--port 0] [--cpu N] [--spin] [--kernel-times]
//
// Says `truth_server on 127.0.0.1:PORT` and serves until SIGTERM. `GET /` is answered at once with
// two bytes; other paths begin with a behaviour (truth_behaviour.h). `GET /log/SEGMENT` tells what
// the server did there: counts, and for each answer when the request came and when its first and
// last piece left, in ns after the first request. `GET /served` counts the answers to `GET /`.
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "truth_connections.h"

namespace {

volatile std::sig_atomic_t stop_wanted = 0;

int complain(const std::string& message) {
  fmt::print(stderr, "truth_server: {}\n", message);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace sis;
  truth::ServerOptions options;
  int64_t cpu = -1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--spin") {
      options.spin = true;
    } else if (flag == "--kernel-times") {
      options.kernel_times = true;
    } else if (flag == "--port" || flag == "--cpu") {
      const auto value = i + 1 < argc ? parse_int(argv[i + 1]) : std::nullopt;
      const int64_t high = flag == "--port" ? 65535 : CPU_SETSIZE - 1;
      if (!value || *value < 0 || *value > high)
        return complain(fmt::format("{}: want a number from 0 to {}, got {}", flag, high,
                                    i + 1 < argc ? in_quotes(argv[i + 1]) : "nothing"));
      if (flag == "--port")
        options.port = static_cast<uint16_t>(*value);
      else
        cpu = *value;
      ++i;
    } else {
      return complain(
          fmt::format("want --port N, --cpu N, --spin or --kernel-times, got {}", in_quotes(flag)));
    }
  }
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
      return complain(fmt::format("--cpu: this machine has no core {} for us", cpu));
  }
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  struct sigaction action {};
  action.sa_handler = [](int) { stop_wanted = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);

  auto server = truth::Server::create(options);
  if (!server.ok()) return complain(server.error().message);
  fmt::print("truth_server on 127.0.0.1:{}\n", (*server)->port());
  std::fflush(stdout);
  (*server)->run(stop_wanted);
  return 0;
}
