// One thread's share of a load run: connections, requests in flight, timing, on one epoll.
//
// Closed loop: every connection is a user that keeps `pipeline` requests in flight, or sends one,
// thinks a while and sends the next; users may come and go. Open loop: requests go out when the
// schedule says so, on whatever connection is free. Nothing is allocated per good request
// in steady state: request bytes are prebuilt, answers are parsed in the receive buffer, latencies
// go into histograms, filled ones are exchanged for empty ones. Streamed answers are judged piece
// by piece as they come in. A connection that the server closed between two requests is opened
// again and the request sent once more (counted in Tally::resent, timed from its first send); any
// other loss fails the request.
//
// The thread that calls run() owns everything; `progress` and `stop` are for others to read and
// set.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client_parser.h"
#include "net/http_client_stream.h"
#include "perf/load/profile.h"
#include "perf/load/run_windows.h"
#include "perf/load/schedule.h"
#include "perf/load/tally.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct LoopOptions {
  net::Endpoint endpoint;
  net::ClientTls* tls = nullptr;  // null: plain; must outlive the loop
  std::string host;               // for the certificate
  int connections = 1;
  int pipeline = 1;   // closed loop only
  bool reuse = true;  // false: a connection for each request, whose latency includes connecting
  Duration timeout = from_seconds(30);        // of one request, from its send
  Duration give_up_after = from_seconds(10);  // without any connection although one is wanted
  int part = 0, parts = 1;                    // which of how many loops this is
  // Closed loop: users of all loops at each moment; both null: every connection is one.
  const Profile* users = nullptr;
  const std::atomic<int>* users_now = nullptr;
  Duration think_min{}, think_max{};  // between an answer and the user's next request
  uint64_t seed = 1;                  // of think times
  std::optional<Schedule::Options> open_loop;
  uint64_t requests = 0;           // of this loop; 0: no limit
  uint64_t requests_per_user = 0;  // closed loop, steady users; 0: no limit
  Duration duration{};             // of sending; 0: no limit
  uint64_t warmup_requests = 0;
  Duration warmup_duration{};
  uint64_t first_index = 0, index_step = 1;  // request numbers of this loop
  Duration window{};                         // tallies are passed on so often; 0: only at the end
  Slo slo;
  size_t errors_max = 1;  // kept with their text
  size_t body_bytes_max = 64 << 20;
  int cpu = -1;       // pin the calling thread here
  bool spin = false;  // poll without sleeping, see RunOptions::spin
};

// Written by the loop about a hundred times a second, read by whoever shows progress.
struct LoopProgress {
  std::atomic<uint64_t> ok{0}, failed{0}, latency_us{0};
  std::atomic<int> users{0};
  std::atomic<bool> warming{false};
};

class EventLoop {
 public:
  // `stop` drops what is in flight; `finish` ends the measured phase's sending. Both, and
  // `progress`, may be null.
  EventLoop(const LoopOptions& options, const Workload& workload, WindowBox* box,
            LoopProgress* progress, const std::atomic<bool>* stop, const std::atomic<bool>* finish);
  ~EventLoop();

  // Connects, warms up, waits in `line_up` (all loops start to measure together, at the moment it
  // gives), measures. What was counted goes to the box. An error only when not a single connection
  // could be made.
  Status run(const std::function<TimePoint()>& line_up);

 private:
  struct Slot {
    uint64_t index = 0;
    size_t part = 0;
    TimePoint intended{}, started{};
    TimePoint began{}, sent{};  // first and last byte written
    std::string_view bytes;
    std::string scratch;
    bool resent = false;
  };
  enum class State : uint8_t { kClosed, kConnecting, kReady, kBackoff };
  struct Connection {
    net::ClientStream stream;
    net::HttpResponseParser parser;
    std::unique_ptr<StreamJudge> stream_judge;  // null: whole bodies are judged
    std::string body;                           // an answer's body that came in pieces
    std::vector<Slot> slots;                    // ring of `pipeline`
    size_t first = 0, in_flight = 0;
    size_t written_slots = 0, written_bytes = 0;  // of the requests in flight
    uint64_t served = 0;                          // answers on this connection
    uint64_t turns_left = UINT64_MAX;             // requests its user may still send
    State state = State::kClosed;
    bool listed = false;    // in free_
    bool thinking = false;  // in thinkers_
    Duration backoff{};
    TimePoint until{};       // connecting: give up; backoff: try again
    TimePoint began{};       // to connect
    TimePoint tcp_at{};      // the TCP connection stood
    TimePoint first_byte{};  // of the answer under way

    Slot& slot(size_t i) { return slots[(first + i) % slots.size()]; }
  };

  struct Thinker {
    TimePoint until;
    uint32_t connection;
    bool operator<(const Thinker& other) const { return until > other.until; }  // earliest on top
  };

  // Closer than this to the next due send the loop polls without sleeping: being woken takes half
  // of it and now and then all.
  static constexpr Duration kSpinBefore = std::chrono::microseconds(100);

  // One phase (warm-up or measured) from first send to last answer.
  void run_phase(uint64_t requests, Duration duration, TimePoint start);
  void connect_all();
  void forget_connections();
  uint64_t share() const;
  void poll_once(TimePoint now);
  Duration poll_timeout(TimePoint now) const;
  void on_event(Connection& connection, uint32_t events, TimePoint polled);
  void sweep(TimePoint now);

  bool lost_at_end() const;
  bool may_send(TimePoint now) const;
  void pass_on(TimePoint now);

  // Users (event_loop_users.cc).
  bool users_vary() const { return options_.users != nullptr || options_.users_now != nullptr; }
  bool thinks() const { return options_.think_max > Duration{}; }
  bool is_user(const Connection& connection) const {
    return number_of(connection) < users_ && connection.turns_left > 0;
  }
  size_t users_wanted(TimePoint now) const;
  void change_users(TimePoint now);
  void next_turn(Connection& connection, TimePoint now);
  void think(Connection& connection, TimePoint now);
  void wake_thinkers(TimePoint now);

  void start_connect(Connection& connection, TimePoint now);
  void on_connect(Connection& connection, TimePoint now);
  void connect_failed(Connection& connection, TimePoint now);
  void set_state(Connection& connection, State state);
  void set_closed(Connection& connection);

  uint32_t number_of(const Connection& connection) const {
    return static_cast<uint32_t>(&connection - connections_.data());
  }
  Tally& tally_of(const Slot& slot) {
    return set_->parts.empty() ? set_->own : set_->parts[slot.part];
  }
  void note_error(Tally& tally, uint64_t request, const std::string& message, TimePoint now);
  Slot& add_slot(Connection& connection, TimePoint intended, TimePoint now);
  void fill(Connection& connection, TimePoint now);
  void make_free(Connection& connection, TimePoint now);
  void send_due(TimePoint now);
  void flush(Connection& connection, TimePoint now);
  void on_readable(Connection& connection, uint32_t events, TimePoint polled);
  bool consume(Connection& connection, std::string_view bytes, TimePoint now);
  void begin_answer(Connection& connection);
  void start_answer(Connection& connection, TimePoint now);
  bool is_streamed(const Connection& connection) const;
  void complete(Connection& connection, std::string_view body, TimePoint now);
  void fail_oldest(Connection& connection, Fault fault, const std::string& message, TimePoint now);
  void lose(Connection& connection, Fault fault, const std::string& message, TimePoint now);
  // `fresh`: for a user who has just come, not after an answer.
  void reopen(Connection& connection, TimePoint now, bool fresh = false);
  void note_second(TimePoint now, bool ok, double latency_ms);
  double since_start(TimePoint now) const;
  void publish(TimePoint now);

  LoopOptions options_;
  const Workload& workload_;
  const size_t parts_;  // of the workload
  WindowBox* box_;
  LoopProgress* progress_;
  const std::atomic<bool>*stop_, *finish_;
  std::unique_ptr<Judge> judge_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::vector<char> buffer_;
  std::vector<uint32_t> free_;  // open loop: connections without a request
  // Open loop: the next request is due so soon after the last one that sleeping between them makes
  // no sense. Nor does it while every connection is busy: whoever sleeps then hands the core to
  // others, and has to get it back when the answers come.
  bool dense_ = false;
  std::string connect_error_;

  // Of the current phase.
  std::unique_ptr<LoopWindow> set_;  // what is counted into
  bool measuring_ = false;
  std::optional<OpenLoop> open_;
  std::vector<Thinker> thinkers_;  // heap
  Rng think_rng_;
  uint64_t quota_left_ = 0, next_index_ = 0;
  bool sending_ = false, stopped_ = false;
  TimePoint phase_start_{}, phase_end_{}, next_window_ = TimePoint::max();
  size_t users_ = 0;               // connections that may send: the first ones
  size_t in_flight_ = 0;           // requests
  size_t ready_ = 0, trying_ = 0;  // connections: that stand, that are being made
  TimePoint alive_at_{}, next_sweep_{}, next_publish_{};
  Duration sweep_every_{};
  uint64_t ok_ = 0, failed_ = 0, latency_us_sum_ = 0;
  size_t errors_kept_ = 0;
  std::vector<Second> timeline_;
  Duration idle_{};  // polls without sleeping that found nothing
};

}  // namespace sis::perf
