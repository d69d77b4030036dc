#include "perf/load/event_loop.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "base/check.h"
#include "base/strings.h"

namespace sis::perf {
namespace {

using std::chrono::milliseconds;

constexpr size_t kReadBytes = 256 << 10;
constexpr int kEventsMax = 256;

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

double thread_cpu_s() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Time this thread was ready to run but had no core; 0 where the kernel does not tell.
double thread_cpu_wait_s() {
  FILE* file = std::fopen("/proc/thread-self/schedstat", "r");
  if (file == nullptr) return 0;
  unsigned long long ran = 0, waited = 0;
  const int fields = std::fscanf(file, "%llu %llu", &ran, &waited);
  std::fclose(file);
  return fields == 2 ? static_cast<double>(waited) * 1e-9 : 0;
}

// The measured phase's shape is not used up by the warm-up: that runs at a steady rate, the one a
// changing rate begins with (or its highest, when it begins with none) or the mean of due times.
Schedule::Options warmup_schedule(Schedule::Options options) {
  if (!options.rates.empty()) {
    options.rate = options.rates.start > 0 ? options.rates.start : options.rates.highest();
  } else if (options.trace && !options.trace->empty()) {
    const double length = to_seconds(options.trace->back());
    const auto count = static_cast<double>(options.trace->size());
    options.rate = length > 0 ? count / length : count;
  }
  options.rates = {};
  options.trace = nullptr;
  options.rate = std::max(options.rate, 0.001);
  return options;
}

}  // namespace

EventLoop::EventLoop(const LoopOptions& options, const Workload& workload, WindowBox* box,
                     LoopProgress* progress, const std::atomic<bool>* stop,
                     const std::atomic<bool>* finish)
    : options_(options),
      workload_(workload),
      parts_(workload.parts()),
      box_(box),
      progress_(progress),
      stop_(stop),
      finish_(finish),
      judge_(workload.make_judge()),
      connections_(static_cast<size_t>(options.connections)),
      buffer_(kReadBytes),
      think_rng_(options.seed ^ (0x5851F42D4C957F2Du * static_cast<uint64_t>(options.part + 1))),
      next_index_(options.first_index) {
  SIS_CHECK(options.connections > 0 && options.pipeline > 0, "connections=", options.connections);
  SIS_CHECK(!options.open_loop || options.pipeline == 1, "open loop with pipelining");
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  SIS_CHECK(epoll_ >= 0, "epoll_create1 errno=", errno);
  for (Connection& connection : connections_) {
    connection.slots.resize(static_cast<size_t>(options.pipeline));
    connection.parser = net::HttpResponseParser(
        {.body_bytes_max = options.body_bytes_max, .watched = workload.watched_header()});
    connection.stream_judge = judge_->make_stream();
  }
  SIS_CHECK(!thinks() || options.pipeline == 1, "think times with pipelining");
  SIS_CHECK(options.requests_per_user == 0 || (!options.open_loop && !users_vary()),
            "requests per user without steady users");
  free_.reserve(connections_.size());
  thinkers_.reserve(connections_.size());
  sweep_every_ = std::clamp<Duration>(options.timeout / 100, milliseconds(1),
                                      users_vary() ? milliseconds(10) : milliseconds(50));
}

EventLoop::~EventLoop() {
  connections_.clear();
  if (epoll_ >= 0) ::close(epoll_);
}

Status EventLoop::run(const std::function<TimePoint()>& line_up) {
  // TLS writes through write(2): a lost peer must be an error here, not the end of the process.
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // due sends want exact wake-ups
  if (options_.cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(options_.cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
  }

  set_ = box_->take_empty();
  connect_all();
  const bool reached = ready_ > 0 || users_ == 0;
  if (reached && !options_.reuse) forget_connections();
  if (reached && (options_.warmup_requests > 0 || options_.warmup_duration > Duration{})) {
    auto measured = std::move(set_);
    set_ = box_->take_empty();
    if (progress_ != nullptr) progress_->warming = true;
    run_phase(options_.warmup_requests, options_.warmup_duration, clock_now());
    if (progress_ != nullptr) progress_->warming = false;
    // Of the warm-up only its connections count: they are used further on.
    measured->own.connects += set_->own.connects;
    measured->own.connect_failures += set_->own.connect_failures;
    measured->own.http.connecting.merge(set_->own.http.connecting);
    measured->own.http.tls_handshaking.merge(set_->own.http.tls_handshaking);
    box_->give_back(std::move(set_));
    set_ = std::move(measured);
    errors_kept_ = set_->own.errors.size();
  }
  const TimePoint start = line_up();  // also when nothing was reached: the others wait for us
  if (!reached) {
    set_->own.unsent = share();
    set_->ended = start;
    box_->put(std::move(set_));
    if (connect_error_.empty())
      connect_error_ = concat("connect to ", options_.endpoint.text(), ": stopped before it stood");
    return Error{Code::kUnavailable, connect_error_};
  }
  measuring_ = true;
  run_phase(options_.requests, options_.duration, start);
  set_->next_index = next_index_;
  box_->put(std::move(set_));
  return {};
}

void EventLoop::connect_all() {
  const TimePoint start = clock_now();
  alive_at_ = start;
  sending_ = true;
  users_ = users_wanted(start);
  // One shows that the server is there when the requests bring their own.
  const size_t ahead = options_.reuse ? users_ : std::min<size_t>(users_, 1);
  for (size_t i = 0; i < ahead; ++i) start_connect(connections_[i], start);
  const auto pending = [&] {
    return std::any_of(connections_.begin(), connections_.end(), [&](const Connection& connection) {
      return connection.state == State::kConnecting;
    });
  };
  while (pending() && !(stop_ != nullptr && stop_->load())) poll_once(clock_now());
  sending_ = false;
}

// Requests of the measured phase that this loop was to send. Of due times at most so many are
// counted as one may wait for.
uint64_t EventLoop::share() const {
  constexpr uint64_t kCountedMax = 10'000'000;
  if (!options_.open_loop || options_.duration <= Duration{}) return options_.requests;
  const uint64_t most = options_.requests > 0 ? options_.requests : kCountedMax;
  return Schedule(*options_.open_loop).skip_until(options_.duration, std::min(most, kCountedMax));
}

// No request was to use them, and none is to have its connecting for nothing.
void EventLoop::forget_connections() {
  for (Connection& connection : connections_)
    if (connection.state != State::kClosed) set_closed(connection);
  Tally& own = set_->own;
  own.connects = 0;
  own.http.connecting.reset();
  own.http.tls_handshaking.reset();
}

void EventLoop::run_phase(uint64_t requests, Duration duration, TimePoint start) {
  const double cpu_before = thread_cpu_s(), wait_before = thread_cpu_wait_s();
  phase_start_ = set_->own.started = set_->own.last_done = start;
  phase_end_ = duration > Duration{} ? start + duration : TimePoint::max();
  next_window_ =
      measuring_ && options_.window > Duration{} ? start + options_.window : TimePoint::max();
  alive_at_ = std::max(start, clock_now());
  quota_left_ = requests > 0 ? requests : UINT64_MAX;
  ok_ = failed_ = latency_us_sum_ = 0;
  timeline_.clear();
  idle_ = Duration{};
  dense_ = false;
  sending_ = true;
  stopped_ = false;
  bool finished = false;
  free_.clear();
  thinkers_.clear();
  open_.reset();
  if (options_.open_loop) {
    open_.emplace(Schedule(measuring_ ? *options_.open_loop : warmup_schedule(*options_.open_loop)),
                  start);
    open_->freed(start);
  }
  users_ = users_wanted(start);
  for (Connection& connection : connections_) {
    connection.listed = connection.thinking = false;
    connection.turns_left =
        measuring_ && options_.requests_per_user > 0 ? options_.requests_per_user : UINT64_MAX;
    if (!is_user(connection)) {
      if (connection.state != State::kClosed) set_closed(connection);
    } else if (connection.state == State::kReady) {
      if (open_)
        make_free(connection, start);
      else
        fill(connection, clock_now());
    } else if (connection.state == State::kClosed) {
      reopen(connection, clock_now(), /*fresh=*/true);
    }
  }

  for (;;) {
    const TimePoint now = clock_now();
    if (stop_ != nullptr && stop_->load(std::memory_order_relaxed)) {
      set_->own.interrupted = true;
      stopped_ = true;
    }
    if (measuring_ && sending_ && finish_ != nullptr && finish_->load(std::memory_order_relaxed)) {
      finished = true;
      sending_ = false;
      if (open_ || phase_end_ != TimePoint::max()) phase_end_ = std::min(phase_end_, now);
    }
    if (ready_ == 0 && trying_ > 0 && now - alive_at_ > options_.give_up_after)
      set_->own.gave_up = stopped_ = true;
    if (sending_ && (stopped_ || !may_send(now))) sending_ = false;
    if (!sending_ && (in_flight_ == 0 || stopped_)) break;
    if (open_ && sending_) send_due(now);
    poll_once(now);
  }

  const TimePoint end = clock_now();
  if (end >= next_window_) pass_on(end);
  Tally& own = set_->own;
  if (!stopped_ && lost_at_end()) own.gave_up = true;
  uint64_t never_taken = 0;
  if (open_)
    never_taken = open_->give_up_due(std::min(phase_end_, end), quota_left_,
                                     [&](Duration waited) { own.unsent_waited.record(waited); });
  if (open_ && phase_end_ != TimePoint::max())
    own.unsent += never_taken;
  else if (requests > 0 && !finished)
    own.unsent += quota_left_;
  own.abandoned = in_flight_;
  for (Connection& connection : connections_) {
    if (connection.in_flight == 0) continue;
    in_flight_ -= connection.in_flight;
    connection.in_flight = 0;
    set_closed(connection);  // answers to requests of another phase must not be mixed up
  }
  own.started = start;
  // A run cut short has no full window: throughput then refers to the time it lasted.
  if (duration > Duration{}) own.window_end = std::min(phase_end_, end);
  const double wall = std::max(1e-9, to_seconds(end - start));
  own.cpu_s = thread_cpu_s() - cpu_before;
  own.cpu_wait_s = std::max(0.0, thread_cpu_wait_s() - wait_before);
  own.cpu_share_max = std::max(0.0, own.cpu_s + own.cpu_wait_s - to_seconds(idle_)) / wall;
  own.timeline = std::move(timeline_);
  set_->users = static_cast<int>(users_);
  set_->ended = end;
  publish(end);
}

// Nothing could be reached when the time was over: what came before is not the whole run, though
// too short a silence for giving up.
bool EventLoop::lost_at_end() const {
  bool refused = false;
  for (const Connection& connection : connections_) {
    if (connection.turns_left == 0) continue;  // its user has left
    if (connection.state == State::kReady) return false;
    if (connection.state == State::kClosed && connection.served > 0) return false;
    refused |= connection.state == State::kBackoff;
  }
  return refused;
}

// Exchanges the filled tallies for empty ones; the new window is the one `now` falls into.
void EventLoop::pass_on(TimePoint now) {
  set_->users = static_cast<int>(users_);
  set_->ended = now;
  box_->put(std::move(set_));
  set_ = box_->take_empty();
  const int64_t number = (now - phase_start_) / options_.window;
  set_->number = static_cast<uint64_t>(number);
  next_window_ = phase_start_ + options_.window * (number + 1);
}

bool EventLoop::may_send(TimePoint now) const {
  if (quota_left_ == 0 || !sending_ || (open_ && open_->exhausted())) return false;
  if (now < phase_end_) return true;
  return open_ && open_->next_due() < phase_end_ && !free_.empty();  // due in time, not yet sent
}

Duration EventLoop::poll_timeout(TimePoint now) const {
  if (options_.spin) return Duration{};
  TimePoint until = std::min(next_sweep_, next_window_);
  if (sending_ && phase_end_ != TimePoint::max()) until = std::min(until, phase_end_);
  TimePoint due = TimePoint::max();
  if (sending_ && open_) {
    if (dense_) return Duration{};
    if (!free_.empty()) due = open_->next_due();
  }
  if (sending_ && !thinkers_.empty()) due = thinkers_.front().until;
  if (due != TimePoint::max()) {
    if (due - now < kSpinBefore) return Duration{};
    until = std::min(until, due - kSpinBefore / 2);
  }
  return std::max(Duration{}, until - now);
}

void EventLoop::poll_once(TimePoint now) {
  std::array<epoll_event, kEventsMax> events;
  const int64_t wait_ns = std::chrono::nanoseconds(poll_timeout(now)).count();
  const timespec wait{.tv_sec = wait_ns / 1'000'000'000, .tv_nsec = wait_ns % 1'000'000'000};
  int n = epoll_pwait2(epoll_, events.data(), kEventsMax, &wait, nullptr);
  if (n < 0 && errno == ENOSYS)  // kernels before 5.11: whole milliseconds, the rest is polled
    n = epoll_wait(epoll_, events.data(), kEventsMax, static_cast<int>(wait_ns / 1'000'000));
  const TimePoint polled = clock_now();
  if (wait_ns == 0 && n == 0) idle_ += polled - now;
  for (int i = 0; i < n; ++i) {
    on_event(connections_[events[static_cast<size_t>(i)].data.u32],
             events[static_cast<size_t>(i)].events, polled);
    if (open_ && sending_) send_due(clock_now());
  }
  if (!thinkers_.empty()) wake_thinkers(clock_now());
  if (polled >= next_window_) pass_on(polled);
  if (polled >= next_sweep_) sweep(polled);
  if (polled >= next_publish_) publish(polled);
}

void EventLoop::on_event(Connection& connection, uint32_t events, TimePoint polled) {
  if (connection.state == State::kConnecting) {
    on_connect(connection, clock_now());
    return;
  }
  if (connection.state != State::kReady) return;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
    on_readable(connection, events, polled);
  if ((events & EPOLLOUT) && connection.state == State::kReady &&
      connection.written_slots < connection.in_flight)
    flush(connection, clock_now());
}

// Timeouts and retries are coarse: every hundredth of the timeout is exact enough, and a pass over
// all connections costs less than keeping a timer for each request.
void EventLoop::sweep(TimePoint now) {
  next_sweep_ = now + sweep_every_;
  if (users_vary() && sending_ && phase_start_ != TimePoint{}) change_users(now);
  for (Connection& connection : connections_) {
    switch (connection.state) {
      case State::kReady:
        if (connection.in_flight > 0 && now - connection.slot(0).started > options_.timeout)
          lose(connection, Fault::kTimeout,
               concat("no answer within ", to_seconds(options_.timeout), " s"), now);
        break;
      case State::kConnecting:
        if (now >= connection.until) {
          connect_error_ = concat("connect to ", options_.endpoint.text(), ": no answer");
          connect_failed(connection, now);
        }
        break;
      case State::kBackoff:
        if (now >= connection.until &&
            ((may_send(now) && is_user(connection)) || connection.in_flight > 0))
          start_connect(connection, now);
        break;
      case State::kClosed:
        if (open_ && options_.reuse && may_send(now)) start_connect(connection, now);
        break;
    }
  }
}

void EventLoop::note_second(TimePoint now, bool ok, double latency_ms) {
  const auto second = static_cast<size_t>(since_start(now));
  if (second >= Tally::kTimelineMax) return;
  if (second >= timeline_.size()) timeline_.resize(second + 1);
  Second& entry = timeline_[second];
  ++(ok ? entry.ok : entry.failed);
  entry.latency_sum_ms += latency_ms;
  entry.latency_max_ms = std::max(entry.latency_max_ms, latency_ms);
}

double EventLoop::since_start(TimePoint now) const {
  return phase_start_ == TimePoint{} ? 0 : std::max(0.0, to_seconds(now - phase_start_));
}

void EventLoop::publish(TimePoint now) {
  next_publish_ = now + milliseconds(10);
  if (progress_ == nullptr) return;
  progress_->ok.store(ok_, std::memory_order_relaxed);
  progress_->failed.store(failed_, std::memory_order_relaxed);
  progress_->users.store(static_cast<int>(users_), std::memory_order_relaxed);
  progress_->latency_us.store(latency_us_sum_, std::memory_order_relaxed);
}

}  // namespace sis::perf
