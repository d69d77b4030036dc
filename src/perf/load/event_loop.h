// One thread's share of a load run: connections, requests in flight, timing, on one epoll.
//
// Closed loop: every connection keeps `pipeline` requests in flight. Open loop: requests go out
// when the schedule says so, on whatever connection is free. Nothing is allocated per good request
// in steady state: request bytes are prebuilt, answers are parsed in the receive buffer, latencies
// go into histograms. Streamed answers are judged piece by piece as they come in. A connection that
// the server closed between two requests is opened again and the request sent once more (counted in
// Tally::resent, timed from its first send); any other loss fails the request.
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
#include "perf/load/schedule.h"
#include "perf/load/tally.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct LoopOptions {
  net::Endpoint endpoint;
  net::TlsContext* tls = nullptr;  // null: plain; must outlive the loop
  std::string host;                // for the certificate
  int connections = 1;
  int pipeline = 1;   // closed loop only
  bool reuse = true;  // false: a connection for each request, whose latency includes connecting
  Duration timeout = from_seconds(30);        // of one request, from its send
  Duration give_up_after = from_seconds(10);  // without any connection
  std::optional<Schedule::Options> open_loop;
  uint64_t requests = 0;  // of this loop; 0: no limit
  Duration duration{};    // of sending; 0: no limit
  uint64_t warmup_requests = 0;
  Duration warmup_duration{};
  uint64_t first_index = 0, index_step = 1;  // request numbers of this loop
  Slo slo;
  size_t errors_max = 1;  // kept with their text
  size_t body_bytes_max = 64 << 20;
  int cpu = -1;       // pin the calling thread here
  bool spin = false;  // poll without sleeping, see RunOptions::spin
};

// Written by the loop about a hundred times a second, read by whoever shows progress.
struct LoopProgress {
  std::atomic<uint64_t> ok{0}, failed{0}, latency_us{0};
  std::atomic<bool> warming{false};
};

class EventLoop {
 public:
  EventLoop(const LoopOptions& options, const Workload& workload, LoopProgress* progress,
            const std::atomic<bool>* stop);
  ~EventLoop();

  // Connects, warms up, waits in `line_up` (all loops start to measure together), measures. An
  // error only when not a single connection could be made.
  Status run(const std::function<void()>& line_up, Tally& tally);

 private:
  struct Slot {
    uint64_t index = 0;
    TimePoint intended{}, started{};
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
    State state = State::kClosed;
    bool listed = false;  // in free_
    Duration backoff{};
    TimePoint until{};  // connecting: give up; backoff: try again

    Slot& slot(size_t i) { return slots[(first + i) % slots.size()]; }
  };

  // One phase (warm-up or measured) from first send to last answer.
  void run_phase(uint64_t requests, Duration duration, Tally& tally);
  void connect_all();
  void poll_once(TimePoint now);
  Duration poll_timeout(TimePoint now) const;
  void on_event(Connection& connection, uint32_t events, TimePoint polled);
  void sweep(TimePoint now);

  bool may_send(TimePoint now) const;
  void start_connect(Connection& connection, TimePoint now);
  void on_connect(Connection& connection, TimePoint now);
  void connect_failed(Connection& connection, TimePoint now);
  void set_closed(Connection& connection);

  Slot& add_slot(Connection& connection, TimePoint intended, TimePoint now);
  void fill(Connection& connection, TimePoint now);
  void make_free(Connection& connection, TimePoint now);
  void send_due(TimePoint now);
  void flush(Connection& connection, TimePoint now);
  void on_readable(Connection& connection, uint32_t events, TimePoint polled);
  bool consume(Connection& connection, std::string_view bytes, TimePoint now);
  void begin_answer(Connection& connection);
  bool is_streamed(const Connection& connection) const;
  void complete(Connection& connection, std::string_view body, TimePoint now);
  void fail_oldest(Connection& connection, Fault fault, const std::string& message, TimePoint now);
  void lose(Connection& connection, Fault fault, const std::string& message, TimePoint now);
  void reopen(Connection& connection, TimePoint now);
  void note_second(TimePoint now, bool ok, double latency_ms);
  double since_start(TimePoint now) const;
  void publish(TimePoint now);

  LoopOptions options_;
  const Workload& workload_;
  LoopProgress* progress_;
  const std::atomic<bool>* stop_;
  std::unique_ptr<Judge> judge_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::vector<char> buffer_;
  std::vector<uint32_t> free_;  // open loop: connections without a request
  std::string connect_error_;

  // Of the current phase.
  Tally* tally_ = nullptr;
  std::optional<OpenLoop> open_;
  uint64_t quota_left_ = 0, next_index_ = 0;
  bool sending_ = false, stopped_ = false;
  TimePoint phase_start_{}, phase_end_{};
  size_t in_flight_ = 0, ready_ = 0;
  TimePoint alive_at_{}, next_sweep_{}, next_publish_{};
  Duration sweep_every_{};
  uint64_t latency_us_sum_ = 0;
  Duration idle_{};  // spinning: polls that found nothing
};

}  // namespace sis::perf
