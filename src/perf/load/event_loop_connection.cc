// Connections of the event loop: making and losing them, requests onto them, answers off them.
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/check.h"
#include "base/strings.h"
#include "perf/load/event_loop.h"

namespace sis::perf {
namespace {

constexpr int kPartsMax = 64;  // requests written with one call
constexpr Duration kBackoffMin = std::chrono::milliseconds(10),
                   kBackoffMax = std::chrono::seconds(1);

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

}  // namespace

void EventLoop::start_connect(Connection& connection, TimePoint now) {
  connection.until = now + std::min<Duration>(options_.timeout, std::chrono::seconds(10));
  connection.began = now;
  connection.tcp_at = TimePoint{};
  if (ready_ == 0 && trying_ == 0) alive_at_ = now;  // nothing was wanted until now
  if (!connection.stream.open(options_.endpoint, options_.tls, options_.host).ok()) {
    on_connect(connection, now);
    return;
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u32 = number_of(connection);
  SIS_CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.stream.fd(), &event) == 0,
            "epoll_ctl errno=", errno);
  set_state(connection, State::kConnecting);
}

void EventLoop::on_connect(Connection& connection, TimePoint now) {
  const net::IoState state =
      connection.stream.is_open() ? connection.stream.advance() : net::IoState::kFailed;
  if (connection.stream.connected() && connection.tcp_at == TimePoint{}) connection.tcp_at = now;
  if (state == net::IoState::kAgain) return;
  if (state != net::IoState::kDone) {
    connect_error_ =
        concat("connect to ", options_.endpoint.text(), ": ",
               state == net::IoState::kClosed ? "connection closed" : connection.stream.failure());
    connect_failed(connection, now);
    return;
  }
  set_state(connection, State::kReady);
  connection.served = 0;
  connection.backoff = Duration{};
  connection.written_slots = connection.written_bytes = 0;
  begin_answer(connection);
  Tally& own = set_->own;
  ++own.connects;
  own.http.connecting.record(connection.tcp_at - connection.began);
  if (options_.tls != nullptr) own.http.tls_handshaking.record(now - connection.tcp_at);
  alive_at_ = now;
  if (phase_start_ == TimePoint{}) return;  // connecting ahead of the first phase
  if (connection.in_flight > 0) {
    for (size_t i = 0; i < connection.in_flight; ++i) connection.slot(i).began = TimePoint{};
    flush(connection, now);
  } else if (open_) {
    if (!options_.reuse) set_closed(connection);  // made after a failure: the server is back
    make_free(connection, now);
  } else if (!connection.thinking && options_.reuse) {
    fill(connection, now);
  } else if (!connection.thinking && may_send(now)) {
    // The first try failed with its request; this connection's request began when it did.
    add_slot(connection, std::max(connection.began, phase_start_), now);
    flush(connection, now);
  }
}

void EventLoop::connect_failed(Connection& connection, TimePoint now) {
  ++set_->own.connect_failures;
  note_error(set_->own, next_index_, connect_error_, now);
  set_closed(connection);
  while (connection.in_flight > 0) fail_oldest(connection, Fault::kConnect, connect_error_, now);
  connection.backoff = std::clamp(connection.backoff * 2, kBackoffMin, kBackoffMax);
  connection.until = now + connection.backoff;
  set_state(connection, State::kBackoff);
}

void EventLoop::set_state(Connection& connection, State state) {
  const auto count = [&](size_t by) {
    if (connection.state == State::kReady) ready_ += by;
    if (connection.state == State::kConnecting || connection.state == State::kBackoff)
      trying_ += by;
  };
  count(static_cast<size_t>(-1));
  connection.state = state;
  count(1);
}

void EventLoop::set_closed(Connection& connection) {
  connection.stream.close();  // also leaves the epoll set
  set_state(connection, State::kClosed);
  connection.written_slots = connection.written_bytes = 0;
}

EventLoop::Slot& EventLoop::add_slot(Connection& connection, TimePoint intended, TimePoint now) {
  Slot& slot = connection.slot(connection.in_flight);
  ++connection.in_flight;
  ++in_flight_;
  if (quota_left_ != UINT64_MAX) --quota_left_;
  if (connection.turns_left != UINT64_MAX) --connection.turns_left;
  slot.index = next_index_;
  next_index_ += options_.index_step;
  slot.bytes = workload_.request(slot.index, slot.scratch);
  slot.part = parts_ > 1 ? workload_.part_of(slot.index) : 0;
  slot.intended = intended;
  slot.started = now;
  slot.began = slot.sent = TimePoint{};
  slot.resent = false;
  ++tally_of(slot).sent;
  return slot;
}

void EventLoop::fill(Connection& connection, TimePoint now) {
  if (!may_send(now)) return;
  while (connection.in_flight < connection.slots.size() && quota_left_ > 0 &&
         connection.turns_left > 0)
    add_slot(connection, now, now);
  flush(connection, now);
}

void EventLoop::make_free(Connection& connection, TimePoint now) {
  if (connection.listed) return;
  if (free_.empty() && open_) open_->freed(now);
  connection.listed = true;
  free_.push_back(number_of(connection));
}

void EventLoop::send_due(TimePoint now) {
  while (!free_.empty() && quota_left_ > 0 && open_->next_due() < phase_end_) {
    Connection& connection = connections_[free_.back()];
    const bool fresh = !options_.reuse && connection.state == State::kClosed;
    if (connection.state != State::kReady && !fresh) {  // lost while idle and being reopened
      connection.listed = false;
      free_.pop_back();
      continue;
    }
    const auto taken = open_->take(now);
    if (!taken) return;
    connection.listed = false;
    free_.pop_back();
    Tally& tally = tally_of(add_slot(connection, taken->intended, now));
    tally.late.record(taken->late);
    tally.waited.record(taken->waited);
    dense_ = open_->next_due() - taken->intended <= kSpinBefore;
    if (fresh)
      start_connect(connection, now);
    else
      flush(connection, now);
    now = clock_now();
  }
}

void EventLoop::flush(Connection& connection, TimePoint now) {
  while (connection.written_slots < connection.in_flight) {
    std::array<iovec, kPartsMax> parts;
    size_t count = 0;
    for (size_t i = connection.written_slots; i < connection.in_flight && count < kPartsMax; ++i) {
      Slot& slot = connection.slot(i);
      if (slot.began == TimePoint{}) slot.began = now;
      std::string_view bytes = slot.bytes;
      if (i == connection.written_slots) bytes.remove_prefix(connection.written_bytes);
      parts[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
    }
    const net::IoResult io = connection.stream.write({parts.data(), count});
    const TimePoint written = clock_now();
    set_->own.bytes_out += io.bytes;
    connection.written_bytes += io.bytes;
    while (connection.written_slots < connection.in_flight &&
           connection.written_bytes >= connection.slot(connection.written_slots).bytes.size()) {
      Slot& slot = connection.slot(connection.written_slots++);
      connection.written_bytes -= slot.bytes.size();
      slot.sent = written;
    }
    if (io.state == net::IoState::kDone) continue;
    if (io.state == net::IoState::kFailed) {
      // The answer may be there already: a server that refuses a large body answers and closes.
      // What can be read is read first; only then the connection counts as lost.
      const std::string why = connection.stream.failure();
      on_readable(connection, EPOLLHUP, now);
      if (connection.state == State::kReady && connection.in_flight > 0 &&
          connection.written_slots < connection.in_flight)
        lose(connection, Fault::kClosed, concat("send: ", why), now);
    }
    return;
  }
}

void EventLoop::on_readable(Connection& connection, uint32_t events, TimePoint polled) {
  for (;;) {
    const net::IoResult io = connection.stream.read(buffer_);
    if (io.state == net::IoState::kAgain) return;
    const TimePoint now = clock_now();
    if (io.state == net::IoState::kDone) {
      set_->own.bytes_in += io.bytes;
      set_->own.poll_delay.record(now - polled);
      if (!consume(connection, {buffer_.data(), io.bytes}, now)) return;
      // A short read has drained a plain socket; the next bytes raise a new edge.
      const bool drained = !connection.stream.is_tls() && io.bytes < buffer_.size();
      if (drained && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
      continue;
    }
    std::string why =
        io.state == net::IoState::kFailed ? concat("receive: ", connection.stream.failure()) : "";
    if (connection.in_flight == 0) {  // an idle connection ended: nothing lost
      set_closed(connection);
      reopen(connection, now);
      return;
    }
    if (why.empty()) {
      Status status = connection.parser.finish_at_close();
      if (status.ok()) {
        complete(connection, connection.body, now);
        set_closed(connection);
        reopen(connection, now);
        return;
      }
      why = status.error().message;
    }
    lose(connection, Fault::kClosed, why, now);
    return;
  }
}

// False when the connection was given up.
bool EventLoop::consume(Connection& connection, std::string_view bytes, TimePoint now) {
  while (!bytes.empty()) {
    if (connection.in_flight == 0 ||
        (connection.written_slots == 0 && connection.written_bytes == 0)) {
      if (connection.in_flight > 0) {
        lose(connection, Fault::kProtocol, "answer before the request was sent", now);
        return false;
      }
      note_error(set_->own, next_index_, "bytes after the end of an answer", now);
      set_closed(connection);
      reopen(connection, now);
      return false;
    }
    if (!connection.parser.started()) start_answer(connection, now);
    auto step = connection.parser.feed(bytes);
    if (!step.ok()) {
      lose(connection, Fault::kProtocol, step.error().message, now);
      return false;
    }
    bytes.remove_prefix(step->consumed);
    tally_of(connection.slot(0)).body_bytes += step->body.size();
    const bool whole = connection.parser.done() && connection.body.empty();
    if (is_streamed(connection)) {
      if (!step->body.empty()) connection.stream_judge->take(step->body, now);
      if (const std::string& failure = connection.stream_judge->failure(); !failure.empty()) {
        ++tally_of(connection.slot(0)).statuses[static_cast<size_t>(connection.parser.status())];
        lose(connection, Fault::kBody, failure, now);
        return false;
      }
    } else if (!whole) {
      connection.body.append(step->body);
    }
    if (!connection.parser.done()) continue;

    const bool keep = options_.reuse && connection.parser.keep_alive();
    // An answer ahead of the request's last byte: the rest of the request is still owed, so the
    // stream is spent.
    const bool early = connection.written_slots == 0;
    complete(connection, whole ? step->body : std::string_view(connection.body), now);
    if (!keep || early) {
      set_closed(connection);
      reopen(connection, clock_now());
      return false;
    }
  }
  if (connection.in_flight == 0 && open_)
    make_free(connection, now);
  else if (!open_ && connection.in_flight < connection.slots.size())
    next_turn(connection, now);
  return connection.state == State::kReady;
}

void EventLoop::begin_answer(Connection& connection) {
  connection.body.clear();
  connection.parser.begin({});
}

// Its first byte is there: now it is known whose answer it is.
void EventLoop::start_answer(Connection& connection, TimePoint now) {
  const uint64_t index = connection.slot(0).index;
  connection.first_byte = now;
  connection.parser.begin({.head_request = workload_.head_request(index)});
  if (connection.stream_judge) connection.stream_judge->begin_for(index);
}

bool EventLoop::is_streamed(const Connection& connection) const {
  return connection.stream_judge && connection.parser.status() == 200 &&
         connection.stream_judge->wanted();
}

// Judges the oldest request's answer and takes the request off the connection.
void EventLoop::complete(Connection& connection, std::string_view body, TimePoint now) {
  if (now >= next_window_) pass_on(now);
  Slot& slot = connection.slot(0);
  const int status = connection.parser.status();
  const Judgement judgement =
      is_streamed(connection)
          ? connection.stream_judge->end(slot.index)
          : judge_->judge(slot.index, {status, body, connection.parser.watched()});
  Tally& tally = tally_of(slot);
  ++tally.statuses[status < 600 ? static_cast<size_t>(status) : 0];
  if (!judgement.ok) {
    fail_oldest(connection, judgement.status_fault ? Fault::kStatus : Fault::kBody, judgement.error,
                now);
  } else {
    const Duration latency = now - slot.intended;
    tally.latency.record(latency);
    if (open_) tally.service.record(now - slot.started);
    const TimePoint sent = slot.sent != TimePoint{} ? slot.sent : connection.first_byte;
    tally.http.sending.record(sent - slot.began);
    tally.http.waiting.record(connection.first_byte - sent);
    tally.http.receiving.record(now - connection.first_byte);
    ++tally.ok;
    ++ok_;
    tally.items += judgement.items;
    const uint64_t prompt_tokens =
        judgement.prompt_tokens >= 0 ? static_cast<uint64_t>(judgement.prompt_tokens) : 0;
    tally.prompt_tokens += prompt_tokens;
    if (judgement.prompt_tokens >= 0) ++tally.answers_with_prompt_tokens;
    tally.amount += judgement.amount;
    if (judgement.cached) {
      ++tally.answers_with_cache;
      tally.cache_hits += *judgement.cached ? 1 : 0;
    }
    if (judgement.generation)
      tally.generation.note(*judgement.generation, slot.intended, now, phase_end_, options_.slo);
    if (now <= phase_end_) {
      ++tally.ok_in_window;
      tally.items_in_window += judgement.items;
      tally.amount_in_window += judgement.amount;
      tally.prompt_tokens_in_window += prompt_tokens;
    }
    latency_us_sum_ += static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(latency).count());
    note_second(now, true, to_ms(latency));
    set_->own.last_done = now;
    connection.first = (connection.first + 1) % connection.slots.size();
    --connection.in_flight;
    --in_flight_;
    if (connection.written_slots > 0) --connection.written_slots;
  }
  ++connection.served;
  begin_answer(connection);
  alive_at_ = now;
}

void EventLoop::fail_oldest(Connection& connection, Fault fault, const std::string& message,
                            TimePoint now) {
  if (now >= next_window_) pass_on(now);
  Slot& slot = connection.slot(0);
  Tally& tally = tally_of(slot);
  ++tally.failed;
  ++failed_;
  ++tally.faults[static_cast<size_t>(fault)];
  tally.failed_latency.record(now - slot.intended);
  note_error(tally, slot.index, message, now);
  note_second(now, false, to_ms(now - slot.intended));
  set_->own.last_done = now;
  connection.first = (connection.first + 1) % connection.slots.size();
  --connection.in_flight;
  --in_flight_;
  if (connection.written_slots > 0) --connection.written_slots;
}

// The connection is gone with requests on it. The oldest fails, unless the server merely closed a
// kept connection as the request was on its way; those behind it are sent again.
void EventLoop::lose(Connection& connection, Fault fault, const std::string& message,
                     TimePoint now) {
  if (connection.in_flight > 0) {
    Slot& oldest = connection.slot(0);
    const bool raced = fault == Fault::kClosed && connection.served > 0 &&
                       !connection.parser.started() && !oldest.resent;
    if (raced) {
      oldest.resent = true;
      ++tally_of(oldest).resent;
    } else {
      fail_oldest(connection, fault, message, now);
    }
  }
  set_closed(connection);
  reopen(connection, now);
}

// Kept texts are few over the whole run, in however many tallies they lie.
void EventLoop::note_error(Tally& tally, uint64_t request, const std::string& message,
                           TimePoint now) {
  const bool keep = errors_kept_ < options_.errors_max;
  if (keep) ++errors_kept_;
  tally.note_message(request, since_start(now), message, keep ? SIZE_MAX : 0);
}

void EventLoop::reopen(Connection& connection, TimePoint now, bool fresh) {
  connection.body.clear();
  if (connection.in_flight == 0) {
    if (open_ && !options_.reuse) {
      make_free(connection, now);
      return;
    }
    if (!is_user(connection) || connection.thinking) return;  // it is made when it is wanted
    if (thinks() && !fresh && sending_) {
      think(connection, now);
      return;
    }
    if (!open_ && !options_.reuse && may_send(now))
      add_slot(connection, now, now);  // its clock runs while connecting
  }
  if (connection.in_flight > 0 || may_send(now)) start_connect(connection, now);
}

}  // namespace sis::perf
