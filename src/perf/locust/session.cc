#include "perf/locust/session.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/strings.h"

namespace sis::perf {

LocustSession::LocustSession(std::string id, UserControl& control, LocustStats& stats)
    : id_(std::move(id)), control_(control), stats_(stats) {}

void LocustSession::start(TimePoint now, double epoch_s) {
  started_ = now;
  stats_.clear(epoch_s);
  outbox_.push_back(client_ready_message(id_));
  ready_at_ = now + kReadyEvery;
  heartbeat_at_ = now + kHeartbeatEvery;
  stats_at_ = now + kStatsEvery;
  logs_at_ = now + kLogsEvery;
}

void LocustSession::log(std::string line) {
  if (lines_.size() < kLogLinesMax) lines_.push_back(std::move(line));
}

void LocustSession::fail(std::string why) {
  failure_ = std::move(why);
  leaving_ = true;
}

void LocustSession::on_message(const MasterMessage& message, TimePoint now, double epoch_s) {
  if (message.type == "ack") {
    acknowledged_ = contact_ = true;
    heard_ = now;
    const auto data = nlohmann::json::parse(message.data, nullptr, false);
    if (data.is_object() && data.contains("index"))
      log(concat("connected to the master as worker ", data["index"].dump()));
  } else if (message.type == "spawn") {
    on_spawn(message, epoch_s);
  } else if (message.type == "stop") {
    if (state_ == WorkerState::kSpawning || state_ == WorkerState::kRunning)
      control_.stop(stop_timeout_);
    state_ = WorkerState::kCleanup;
    next_.reset();
  } else if (message.type == "quit") {
    if (!leaving_) {
      // The master waits half a second for last figures: what there is goes at once.
      control_.stop(stop_timeout_);
      send_stats(epoch_s);
      stats_at_ = now + kLastStatsEvery;
    }
    // No farewell: a master that hears the last but one leave stops listening to the last.
    leaving_ = true;
    state_ = WorkerState::kCleanup;
  } else if (message.type == "reconnect") {
    reconnect_ = true;
  } else if (message.type == "heartbeat") {
    heard_ = now;
  }
  // spawning_complete, update_user_class and what a locustfile may send need nothing of us.
}

void LocustSession::on_spawn(const MasterMessage& message, double epoch_s) {
  outbox_.push_back(plain_message("spawning", id_));
  const auto order = parse_spawn(message.data);
  if (!order.ok()) {
    outbox_.push_back(exception_message(id_, order.error().message, "spawn"));
    return;
  }
  // Late or repeated orders of a ramp.
  if (order->timestamp <= last_spawn_ || leaving_) return;
  last_spawn_ = order->timestamp;
  // Users that are still ending would have to be waited for here, without a heartbeat.
  if (state_ == WorkerState::kCleanup)
    next_ = *order;
  else
    spawn(*order, epoch_s);
}

void LocustSession::spawn(const SpawnOrder& order, double epoch_s) {
  stop_timeout_ = order.stop_timeout;
  if (state_ != WorkerState::kSpawning && state_ != WorkerState::kRunning) {
    stats_.clear(epoch_s);
    if (const Status begun = control_.begin(order.host); !begun.ok()) {
      // The master waits for its users; that there are none it hears at once.
      outbox_.push_back(exception_message(id_, begun.error().message, "spawn"));
      outbox_.push_back(spawning_complete_message(id_, control_.users()));
      return log(begun.error().message);
    }
    ++tests_;
  }
  state_ = WorkerState::kSpawning;
  if (std::string problem = control_.set_users(order.users); !problem.empty()) {
    outbox_.push_back(exception_message(id_, problem, "spawn"));
    log(std::move(problem));
  }
  outbox_.push_back(spawning_complete_message(id_, control_.users()));
  state_ = WorkerState::kRunning;
}

void LocustSession::send_stats(double epoch_s) {
  MsgpackWriter out;
  out.array(3);
  out.text("stats");
  stats_.take(out, control_.users(), epoch_s);
  out.text(id_);
  outbox_.push_back(out.bytes());
}

void LocustSession::finish_stop(double epoch_s, TimePoint now) {
  // First the figures, while the master still knows us, then the farewell, then a new greeting.
  send_stats(epoch_s);
  if (leaving_) return;
  outbox_.push_back(plain_message("client_stopped", id_));
  outbox_.push_back(client_ready_message(id_));
  state_ = WorkerState::kReady;
  acknowledged_ = false;
  ready_at_ = now + kReadyEvery;
  if (!next_) return;
  outbox_.push_back(plain_message("spawning", id_));
  spawn(*std::exchange(next_, std::nullopt), epoch_s);
}

void LocustSession::tick(TimePoint now, double epoch_s, double cpu_percent, uint64_t memory_bytes) {
  if (done_) return;
  for (auto& fault : control_.take_faults()) {
    outbox_.push_back(exception_message(id_, fault, "load"));
    log(std::move(fault));
  }
  if (contact_ && !leaving_ && now - heard_ > kMasterSilenceMax) {
    control_.stop({});
    fail(concat("nothing heard from the master for ", to_seconds(kMasterSilenceMax), " s"));
  }
  if (!contact_ && !leaving_ && now - started_ > kFirstAnswerMax)
    fail(concat("no answer from the master in ", to_seconds(kFirstAnswerMax), " s"));
  if (state_ == WorkerState::kCleanup && control_.idle()) finish_stop(epoch_s, now);
  if (leaving_ && control_.idle()) {
    if (tell_quit_) outbox_.push_back(plain_message("quit", id_));
    state_ = WorkerState::kStopped;
    done_ = true;
    return;
  }
  if (!acknowledged_ && state_ == WorkerState::kReady && now >= ready_at_) {
    outbox_.push_back(client_ready_message(id_));
    ready_at_ = now + kReadyEvery;
  }
  // Before the first answer nobody is there to tell.
  if (!contact_) return;
  if (now >= heartbeat_at_) {
    // As Locust's own workers do: a master takes a test whose workers clean up for stopped, and
    // would not wait for their last figures.
    const WorkerState shown = state_ == WorkerState::kCleanup ? WorkerState::kRunning : state_;
    outbox_.push_back(heartbeat_message(id_, shown, cpu_percent, memory_bytes));
    heartbeat_at_ = now + kHeartbeatEvery;
  }
  if (now >= stats_at_) {
    send_stats(epoch_s);
    stats_at_ = now + (leaving_ ? kLastStatsEvery : kStatsEvery);
  }
  if (now >= logs_at_) {
    if (!lines_.empty()) outbox_.push_back(logs_message(id_, lines_));
    lines_.clear();
    logs_at_ = now + kLogsEvery;
  }
}

void LocustSession::leave(TimePoint) {
  if (leaving_) return;
  control_.stop({});
  leaving_ = tell_quit_ = true;
  state_ = WorkerState::kCleanup;
}

bool LocustSession::reconnect_wanted() {
  const bool wanted = reconnect_;
  reconnect_ = false;
  return wanted;
}

}  // namespace sis::perf
