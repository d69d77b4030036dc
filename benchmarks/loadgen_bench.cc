// How many requests/s the load generator can drive, against a responder that does next to nothing.
//
// The responder is one thread on its own epoll: it counts request bytes (all requests are equally
// long) and sends a fixed answer for each. The generator's loop is pinned to one core, the
// responder to another when there is one. Prints requests/s and the generator's CPU time per
// request; with --rate how late its sends were; and how much memory the process had after a tenth
// of the case and at its end.
//
//   loadgen_bench [--seconds 3] [--connections 32,64] [--answer-bytes 160] [--rate 0] [--burst 1]
//                 [--requests 0] [--smoke]
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "base/thread_team.h"
#include "perf/bench/flags.h"
#include "perf/load/embeddings.h"
#include "perf/load/run.h"
#include "perf/report/machine.h"
#include "perf/report/summary.h"

namespace {

using namespace sis;

// Answers `answer` once per `request_bytes` received, on loopback.
class Responder {
 public:
  Responder(size_t request_bytes, std::string answer, int cpu)
      : request_bytes_(request_bytes), answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SIS_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    SIS_CHECK(listen(listener_, 1024) == 0);
    socklen_t length = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, cpu] { serve(cpu); });
  }
  ~Responder() {
    stop_ = true;
    thread_.join();
    close(listener_);
  }
  uint16_t port() const { return port_; }

 private:
  struct Peer {
    size_t received = 0;  // of the request under way
    std::string pending;  // what the socket did not take yet
  };

  void serve(int cpu) {
    if (cpu >= 0) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(cpu, &set);
      sched_setaffinity(0, sizeof set, &set);
    }
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    const auto watch = [&](int fd, uint32_t events) {
      epoll_event event{};
      event.events = events;
      event.data.fd = fd;
      epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    };
    watch(listener_, EPOLLIN);
    std::unordered_map<int, Peer> peers;
    std::array<epoll_event, 256> events;
    std::vector<char> buffer(1 << 20);
    while (!stop_) {
      const int n = epoll_wait(poll, events.data(), static_cast<int>(events.size()), 50);
      for (int i = 0; i < n; ++i) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        if (fd == listener_) {
          for (int peer; (peer = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
            const int on = 1;
            setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            peers[peer];
            watch(peer, EPOLLIN | EPOLLOUT | EPOLLET);
          }
          continue;
        }
        Peer& peer = peers[fd];
        for (;;) {
          const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
          if (got == 0) {
            peers.erase(fd);
            close(fd);
            break;
          }
          if (got > 0) {
            peer.received += static_cast<size_t>(got);
            for (; peer.received >= request_bytes_; peer.received -= request_bytes_)
              peer.pending += answer_;
          }
          if (!peer.pending.empty()) {
            const ssize_t sent = send(fd, peer.pending.data(), peer.pending.size(), MSG_NOSIGNAL);
            if (sent > 0) peer.pending.erase(0, static_cast<size_t>(sent));
          }
          if (got < static_cast<ssize_t>(buffer.size())) break;
        }
      }
    }
    for (const auto& [fd, peer] : peers) close(fd);
    close(poll);
  }

  size_t request_bytes_;
  std::string answer_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

double resident_mb() {
  long pages = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  const int fields = std::fscanf(file, "%ld %ld", &pages, &resident);
  std::fclose(file);
  return fields == 2 ? static_cast<double>(resident) * static_cast<double>(getpagesize()) / 1e6 : 0;
}

// An embeddings answer with one base64 vector, padded to about `bytes`.
std::string make_answer(size_t bytes) {
  const std::string front =
      R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":")";
  const std::string back = R"("}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}})";
  const size_t floats = std::max<size_t>(
      bytes > front.size() + back.size() ? (bytes - front.size() - back.size()) / 16 * 3 : 0, 3);
  const std::string body = concat(front, std::string(floats / 3 * 16, 'A'), back);
  return concat(
      "HTTP/1.1 200 OK\r\nServer: loadgen\r\nContent-Type: application/json\r\nContent-Length: ",
      body.size(), "\r\n\r\n", body);
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 3, rate = 0;
  std::string connections = "32,64", answers = "200,2048";
  bool smoke = false;
  int64_t seed = 1, requests = 0, burst = 1;
  perf::FlagSet flags("loadgen_bench [flags]",
                      "Measures the load generator against a trivial responder.");
  flags.number({{"seconds"}, {}}, &seconds, 0.01, 3600, "per case");
  flags.text({{"connections"}, {}}, &connections, "A,B", "numbers of connections");
  flags.text({{"answer-bytes"}, {}}, &answers, "A,B", "about so long bodies");
  flags.number({{"rate"}, {}}, &rate, 0, 1e7, "open loop at this rate instead");
  flags.integer({{"burst"}, {}}, &burst, 1, 1'000'000,
                "requests that are due together, with --rate");
  flags.integer({{"requests"}, {}}, &requests, 0, INT64_MAX, "so many per case, not --seconds");
  flags.integer({{"seed"}, {}}, &seed, 0, INT64_MAX, "of the run");
  flags.toggle({{"smoke"}, {}}, &smoke, "a tenth of a second per case, and fail on any error");
  const auto parsed = flags.parse({argv + 1, argv + argc},
                                  [](const std::string&) { return std::optional<std::string>(); });
  if (!parsed.ok() || flags.help_wanted()) {
    fmt::print("{}", parsed.ok() ? flags.help() : parsed.error().message + "\n");
    return parsed.ok() ? 0 : 2;
  }
  if (smoke) seconds = 0.1;

  const int cores = available_cores();
  const perf::Machine machine = perf::this_machine();
  fmt::print("machine: {}, {} cores, {}; seed {}; {} s per case\n", machine.cpu, machine.cores,
             machine.kernel, seed, seconds);
  fmt::print("{:>6} {:>7} {:>12} {:>10} {:>12} {:>9} {:>9} {:>9}\n", "conns", "answer",
             "requests/s", "errors", "CPU us/req", "p50 us", "p99 us", "CPU %");
  int exit_code = 0;
  for (const auto& answer_text : split_list(answers)) {
    for (const auto& connection_text : split_list(connections)) {
      const auto answer_bytes = parse_int(answer_text), count = parse_int(connection_text);
      SIS_CHECK(answer_bytes && *answer_bytes > 0 && count && *count > 0, "want numbers above 0");
      const std::string answer = make_answer(static_cast<size_t>(*answer_bytes));
      perf::EmbeddingsOptions embeddings{.model = "m"};
      embeddings.url = {.host = "127.0.0.1",
                        .port = 10000};  // as long as the port that will be given
      std::string scratch;
      const size_t request_bytes =
          (*perf::EmbeddingsWorkload::create(embeddings))->request(0, scratch).size();
      Responder responder(request_bytes, answer, cores > 1 ? 1 : -1);
      SIS_CHECK(responder.port() >= 10000, "port ", responder.port());
      embeddings.url.port = responder.port();
      const auto workload = perf::EmbeddingsWorkload::create(embeddings);

      perf::RunOptions options{.url = embeddings.url};
      options.connections = static_cast<int>(*count);
      options.requests = static_cast<uint64_t>(requests);
      if (requests == 0) options.duration = from_seconds(seconds);
      options.burst = static_cast<int>(burst);
      options.window = from_ms(100);
      std::vector<double> memory_mb;
      options.on_window = [&](const perf::Window&) {
        memory_mb.push_back(resident_mb());
        return true;
      };
      options.warmup_duration = from_seconds(std::min(seconds, 0.2));
      options.rate = rate;
      options.seed = static_cast<uint64_t>(seed);
      options.first_cpu = cores > 1 ? 0 : -1;
      const auto result = perf::run_load(options, **workload, nullptr, nullptr);
      if (!result.ok()) {
        fmt::print("{}\n", result.error().message);
        return 1;
      }
      const perf::Tally& tally = result->tally;
      const double per_second = static_cast<double>(tally.ok_in_window) / tally.wall_s();
      fmt::print("{:>6} {:>7} {:>12} {:>10} {:>12.2f} {:>9.0f} {:>9.0f} {:>9}\n", *count,
                 answer.size(), perf::with_commas(static_cast<uint64_t>(per_second)), tally.failed,
                 tally.cpu_s * 1e6 / static_cast<double>(std::max<uint64_t>(tally.ok, 1)),
                 tally.latency.quantile_ms(0.5) * 1e3, tally.latency.quantile_ms(0.99) * 1e3,
                 fmt::format("{:.0f}", tally.cpu_share_max * 100));
      if (rate > 0) {
        const auto us = [&](double q) { return tally.late.quantile_ms(q) * 1e3; };
        fmt::print(
            "       sent {} of {} due; late us: p50 {:.1f} p90 {:.1f} p99 {:.1f} p99.9 {:.1f} "
            "max {:.0f}\n",
            perf::with_commas(tally.sent), perf::with_commas(tally.sent + tally.unsent), us(0.5),
            us(0.9), us(0.99), us(0.999), us(1));
      }
      if (memory_mb.size() >= 10)
        fmt::print("       memory after a tenth {:.1f} MB, at the end {:.1f} MB\n",
                   memory_mb[memory_mb.size() / 10], memory_mb.back());
      if (tally.failed > 0 || tally.ok == 0) {
        exit_code = 1;
        if (!tally.errors.empty()) fmt::print("first error: {}\n", tally.errors.front().message);
      }
    }
  }
  return exit_code;
}
