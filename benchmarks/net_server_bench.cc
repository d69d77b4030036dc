// Requests per second of the HTTP server alone, on loopback, closed loop.
//
// One generator thread (raw epoll) keeps `pipeline` requests under way on each of N connections and
// counts whole answers; the handler answers at once from the I/O thread, or, with --post, from
// another thread. Also times the request parser against Boost.Beast's on the same bytes. Server and
// generator share the machine.
//
//   net_server_bench [--smoke] [--seconds S] [--io-threads N] [--body BYTES]
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "net/http_parser.h"
#include "net/http_server.h"

namespace {

using sis::concat;
using Seconds = std::chrono::duration<double>;

// What an OpenAI SDK sends for one short text, less its longest telemetry headers.
const std::string kBody = R"({"input":"hello world","model":"embed","encoding_format":"base64"})";
const std::string kRequest = concat(
    "POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept: application/json\r\n"
    "Connection: keep-alive\r\nContent-Type: application/json\r\nUser-Agent: bench/1\r\n"
    "Authorization: Bearer none\r\nContent-Length: ",
    kBody.size(), "\r\n\r\n", kBody);

struct Arguments {
  double seconds = 2;
  int io_threads = 1;
  size_t body_bytes = 128;
  bool smoke = false;
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return t.tv_sec + t.tv_usec * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int connect_to(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    die("connect");
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) die("send");
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

// All answers are of one size (ids are 32 characters, the date is 29); the first tells which.
size_t answer_bytes(uint16_t port) {
  const int fd = connect_to(port);
  send_all(fd, kRequest);
  std::string answer;
  char buffer[65536];
  for (;;) {
    const ssize_t bytes = ::recv(fd, buffer, sizeof buffer, 0);
    if (bytes <= 0) die("recv");
    answer.append(buffer, static_cast<size_t>(bytes));
    const size_t head = answer.find("\r\n\r\n");
    if (head == std::string::npos) continue;
    const size_t at = answer.find("Content-Length: ") + 16;
    size_t length = 0;
    std::from_chars(answer.data() + at, answer.data() + answer.size(), length);
    if (!answer.starts_with("HTTP/1.1 200") || head + 4 + length != answer.size()) {
      std::fprintf(stderr, "unexpected answer:\n%s\n", answer.c_str());
      std::exit(1);
    }
    ::close(fd);
    return answer.size();
  }
}

struct Rate {
  double per_second = 0, cpu_us = 0;
  int64_t answers = 0;
};

Rate generate(uint16_t port, size_t answer_size, int connections, int pipeline, double seconds) {
  std::string batch;
  for (int i = 0; i < pipeline; ++i) batch += kRequest;
  const int poll = ::epoll_create1(0);
  std::vector<int> sockets;
  std::vector<size_t> missing(connections, answer_size * pipeline);
  for (int i = 0; i < connections; ++i) {
    sockets.push_back(connect_to(port));
    epoll_event event{.events = EPOLLIN, .data = {.u32 = static_cast<uint32_t>(i)}};
    ::epoll_ctl(poll, EPOLL_CTL_ADD, sockets.back(), &event);
    send_all(sockets.back(), batch);
  }
  using Clock = std::chrono::steady_clock;
  Rate rate;
  std::vector<char> buffer(1 << 20);
  std::vector<epoll_event> events(connections);
  const auto run_until = [&](Clock::time_point end) {
    while (Clock::now() < end) {
      const int ready = ::epoll_wait(poll, events.data(), connections, 100);
      for (int e = 0; e < ready; ++e) {
        const auto i = events[e].data.u32;
        const ssize_t bytes = ::recv(sockets[i], buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (bytes <= 0) die("recv");
        missing[i] -= static_cast<size_t>(bytes);
        if (missing[i] > 0) continue;
        rate.answers += pipeline;
        missing[i] = answer_size * pipeline;
        send_all(sockets[i], batch);
      }
    }
  };
  run_until(Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(seconds / 5)));
  rate.answers = 0;
  const auto begin = Clock::now();
  const double cpu = cpu_seconds();
  run_until(begin + std::chrono::duration_cast<Clock::duration>(Seconds(seconds)));
  rate.per_second = rate.answers / Seconds(Clock::now() - begin).count();
  rate.cpu_us =
      (cpu_seconds() - cpu) * 1e6 / static_cast<double>(std::max<int64_t>(1, rate.answers));
  for (const int fd : sockets) ::close(fd);
  ::close(poll);
  return rate;
}

// A thread that answers what the handler leaves with it.
class Worker {
 public:
  Worker(std::string body) : body_(std::move(body)), thread_([this] { run(); }) {}
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  void take(std::shared_ptr<sis::net::Exchange> exchange) {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(exchange));
      if (queue_.size() > 1) return;
    }
    wake_.notify_one();
  }

 private:
  void run() {
    std::vector<std::shared_ptr<sis::net::Exchange>> taken;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || !queue_.empty(); });
        if (stop_) return;
        taken.swap(queue_);
      }
      for (auto& exchange : taken) exchange->respond({.body = body_, .compressible = false});
      taken.clear();
    }
  }

  std::string body_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<sis::net::Exchange>> queue_;
  bool stop_ = false;
  std::thread thread_;
};

void bench_parsers(bool smoke) {
  const int rounds = smoke ? 1000 : 1'000'000;
  const auto time = [&](auto&& parse) {
    const double begin = cpu_seconds();  // what else runs on the machine does not count
    size_t sum = 0;
    for (int i = 0; i < rounds; ++i) sum += parse();
    const double took = cpu_seconds() - begin;
    if (sum == 0) die("parser");
    return took * 1e9 / rounds;
  };
  const double ours = time([] {
    sis::net::HttpRequest request;
    sis::net::RequestHead head;
    size_t scanned = 0;
    const auto scan = sis::net::scan_head(kRequest, scanned);
    if (sis::net::parse_request_head(std::string_view(kRequest).substr(0, scan.head_bytes), request,
                                     head))
      die("parse");
    request.body.assign(kRequest, scan.head_bytes);
    return request.headers.size() + request.body.size();
  });
  namespace http = boost::beast::http;
  const double beast = time([] {
    http::request_parser<http::string_body> parser;
    parser.eager(true);
    boost::system::error_code error;
    parser.put(boost::asio::buffer(kRequest), error);
    if (error || !parser.is_done()) die("beast");
    return parser.get().body().size();
  });
  std::printf(
      "parser: own %.0f ns CPU, Boost.Beast %.0f ns CPU per request of %zu bytes (%d rounds)\n",
      ours, beast, kRequest.size(), rounds);
}

std::string machine() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      return concat(sis::trim(std::string_view(line).substr(line.find(':') + 1)), ", ",
                    std::thread::hardware_concurrency(), " CPUs");
  return "unknown machine";
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--smoke")
      arguments.smoke = true, arguments.seconds = 0.05;
    else if (flag == "--seconds")
      arguments.seconds = std::atof(value), ++i;
    else if (flag == "--io-threads")
      arguments.io_threads = std::atoi(value), ++i;
    else if (flag == "--body")
      arguments.body_bytes = std::strtoul(value, nullptr, 10), ++i;
    else {
      std::fprintf(stderr, "%s: want --smoke, --seconds, --io-threads or --body, found %s\n",
                   argv[0], argv[i]);
      return 2;
    }
  }
  std::printf(
      "net_server_bench commit %s, %s, %d I/O thread(s), request %zu B, answer body %zu B\n",
      SIS_COMMIT, machine().c_str(), arguments.io_threads, kRequest.size(), arguments.body_bytes);
  bench_parsers(arguments.smoke);

  const std::string body(arguments.body_bytes, 'x');
  for (const bool posted : {false, true}) {
    Worker worker(body);
    const auto handler = [&](std::shared_ptr<sis::net::Exchange> exchange) {
      if (posted)
        worker.take(std::move(exchange));
      else
        exchange->respond({.body = body, .compressible = false});
    };
    sis::net::ServerOptions options;
    options.address = "127.0.0.1";
    options.port = 0;
    options.io_threads = arguments.io_threads;
    auto server = sis::net::HttpServer::create(options, handler);
    if (!server) {
      std::fprintf(stderr, "%s\n", server.error().message.c_str());
      return 1;
    }
    (*server)->start();
    const uint16_t port = (*server)->port();
    const size_t answer_size = answer_bytes(port);
    struct Case {
      int connections, pipeline;
    };
    for (const auto [connections, pipeline] : {Case{1, 1}, {32, 1}, {64, 1}, {1, 16}, {32, 16}}) {
      const Rate rate = generate(port, answer_size, connections, pipeline, arguments.seconds);
      std::printf("%-22s %3d connections x%-2d  %9.0f req/s  %6.2f us CPU/req both sides  n=%lld\n",
                  posted ? "answered by a worker" : "answered in the handler", connections,
                  pipeline, rate.per_second, rate.cpu_us, static_cast<long long>(rate.answers));
      if (rate.answers == 0) return 1;
    }
    (*server)->stop();
  }
  return 0;
}
