// Users of a closed loop: how many there are at each moment, their turns and their thinking.
#include <algorithm>
#include <cmath>

#include "perf/load/event_loop.h"

namespace sis::perf {

namespace {

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

}  // namespace

size_t EventLoop::users_wanted(TimePoint now) const {
  const auto most = static_cast<int64_t>(connections_.size());
  if (!users_vary()) return connections_.size();
  int64_t all = 0;
  if (options_.users_now != nullptr)
    all = options_.users_now->load(std::memory_order_relaxed);
  else
    all = std::llround(
        options_.users->at(measuring_ ? std::max(Duration{}, now - phase_start_) : Duration{}));
  const int64_t share = all / options_.parts + (options_.part < all % options_.parts ? 1 : 0);
  // A profile may begin with nobody, but somebody has to warm the server up.
  const bool warms = options_.warmup_requests > 0 || options_.warmup_duration > Duration{};
  const int64_t least = options_.users_now == nullptr && !measuring_ && warms ? 1 : 0;
  return static_cast<size_t>(std::clamp(share, least, most));
}

void EventLoop::change_users(TimePoint now) {
  const size_t wanted = users_wanted(now);
  while (users_ < wanted) {
    Connection& connection = connections_[users_++];
    // One that left a moment ago may still be about its last request or think; it just stays.
    if (connection.thinking || connection.in_flight > 0) continue;
    if (connection.state == State::kClosed) reopen(connection, now, /*fresh=*/true);
  }
  while (users_ > wanted) {
    Connection& connection = connections_[--users_];
    if (connection.in_flight == 0 && connection.state != State::kClosed) set_closed(connection);
  }
}

// The connection has room for another request.
void EventLoop::next_turn(Connection& connection, TimePoint now) {
  if (!is_user(connection)) {
    if (connection.in_flight == 0) set_closed(connection);
  } else if (thinks()) {
    if (sending_) think(connection, now);
  } else {
    fill(connection, clock_now());
  }
}

void EventLoop::think(Connection& connection, TimePoint now) {
  const Duration spread = options_.think_max - options_.think_min;
  const auto more =
      static_cast<Duration::rep>(think_rng_.uniform() * static_cast<double>(spread.count()));
  connection.thinking = true;
  thinkers_.push_back({now + options_.think_min + Duration(more), number_of(connection)});
  std::push_heap(thinkers_.begin(), thinkers_.end());
}

void EventLoop::wake_thinkers(TimePoint now) {
  while (!thinkers_.empty() && thinkers_.front().until <= now) {
    const Thinker thinker = thinkers_.front();
    std::pop_heap(thinkers_.begin(), thinkers_.end());
    thinkers_.pop_back();
    Connection& connection = connections_[thinker.connection];
    connection.thinking = false;
    if (!is_user(connection) || !may_send(now)) continue;
    // Being connected already: it sends as soon as it can.
    if (connection.state != State::kReady && connection.state != State::kClosed) continue;
    set_->own.late.record(now - thinker.until);
    add_slot(connection, thinker.until, now);
    if (connection.state == State::kReady)
      flush(connection, now);
    else
      start_connect(connection, now);  // lost meanwhile, or made anew for each request
    now = clock_now();
  }
}

}  // namespace sis::perf
