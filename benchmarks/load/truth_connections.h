// HTTP/1.1 connections of the truth server on one epoll: reads requests, plays their behaviours
// back on time, and writes down when it did.
//
// One thread. Timers are kept in a heap; the last 50 us before one, or all the time with `spin`,
// the loop polls without sleeping, so that pieces leave within microseconds of their plan. What a
// request waited for is in the log, not in the plan: the log holds the times that really were.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "truth_behaviour.h"
#include "truth_request.h"

namespace sis::truth {

struct ServerOptions {
  uint16_t port = 0;  // 0: any
  bool spin = false;  // never sleep: for a core of its own
  // A request came when the kernel took its last bytes off the wire, not when this process read
  // them: what the server was late itself is then in the log. Costs a little on each read.
  bool kernel_times = false;
};

class Server {
 public:
  // Listens on 127.0.0.1. kUnavailable when the port is taken.
  static Result<std::unique_ptr<Server>> create(const ServerOptions& options);
  ~Server();

  uint16_t port() const { return port_; }
  void run(const volatile std::sig_atomic_t& stop);

 private:
  struct Site {  // a behaviour under its segment
    explicit Site(const Spec& spec) : behaviour(spec), body(body_of(spec)) {}
    static std::string body_of(const Spec& spec);
    Behaviour behaviour;
    std::string body;
  };
  struct Connection {
    int fd = -1;
    uint64_t generation = 0;  // of the answer under way; timers of older ones are void
    std::string in;           // bytes after the request under way
    std::string out;          // what the socket did not take
    std::string segment;      // of the last request; saves looking `site` up again
    Site* site = nullptr;
    bool busy = false, close_after = false;
    Plan plan;
    Record record;
    int piece = 0;
    TimePoint due{};  // of the next piece
  };
  struct Timer {
    TimePoint at;
    int fd;
    uint64_t generation;
    bool operator>(const Timer& other) const { return at > other.at; }
  };

  explicit Server(const ServerOptions& options) : options_(options) {}
  Status listen();
  void accept_all();
  // `ended`: the client's end may come right behind its bytes.
  void read(Connection& connection, TimePoint polled, bool ended);
  // As recv(2); `arrived` becomes the kernel's time when it has one.
  ssize_t receive(int fd, TimePoint& arrived);
  void take_kept(Connection& connection, TimePoint now);
  // Takes the next request off `bytes`: how many bytes it had, 0 when it is not whole yet. The
  // connection may be closed afterwards.
  size_t take(Connection& connection, std::string_view bytes, TimePoint now);
  void start(Connection& connection, const Request& request, TimePoint now);
  void play(Connection& connection, TimePoint now);
  void send_piece(Connection& connection);
  void break_off(Connection& connection);
  void reply(Connection& connection, int status, std::string_view type, std::string_view body);
  bool write(Connection& connection, std::string_view bytes);
  void close(Connection& connection);
  Result<Site*> find_site(std::string_view segment);
  Duration wait_until_next(TimePoint now) const;

  ServerOptions options_;
  int epoll_ = -1, listener_ = -1;
  uint16_t port_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::map<std::string, std::unique_ptr<Site>, std::less<>> sites_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::vector<char> buffer_;
  uint64_t served_ = 0;  // answers to `GET /`
};

}  // namespace sis::truth
