// What a worker does at each message and moment: the state machine between a Locust master and the
// users. Knows no sockets and no clock; times are parameters. One thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "perf/locust/protocol.h"
#include "perf/locust/stats.h"

namespace sis::perf {

// The users a session orders about.
class UserControl {
 public:
  virtual ~UserControl() = default;
  // A new test begins; `host` may be empty. Errors: it is no URL; no users are to be set then.
  virtual Status begin(const std::string& host) = 0;
  // Absolute targets by class. Returns what could not be done, for people; empty: nothing.
  virtual std::string set_users(const std::map<std::string, int>& users) = 0;
  // Users that there are by class, all classes named.
  virtual std::map<std::string, int> users() const = 0;
  // No more requests; those in flight may take until `patience` is over.
  virtual void stop(Duration patience) = 0;
  virtual bool idle() const = 0;  // nothing is in flight, and everything is in the statistics
  // Faults since the last call, for people.
  virtual std::vector<std::string> take_faults() = 0;
};

class LocustSession {
 public:
  static constexpr Duration kHeartbeatEvery = std::chrono::seconds(1);
  static constexpr Duration kStatsEvery = std::chrono::seconds(3);
  // A master that quits soon listens no more: what comes in until then goes at once.
  static constexpr Duration kLastStatsEvery = std::chrono::milliseconds(100);
  static constexpr Duration kLogsEvery = std::chrono::seconds(10);
  static constexpr Duration kReadyEvery = std::chrono::seconds(5);
  static constexpr Duration kMasterSilenceMax = std::chrono::seconds(60);
  static constexpr Duration kFirstAnswerMax = std::chrono::seconds(300);
  static constexpr size_t kLogLinesMax = 70;  // of one message

  LocustSession(std::string id, UserControl& control, LocustStats& stats);

  void start(TimePoint now, double epoch_s);
  void on_message(const MasterMessage& message, TimePoint now, double epoch_s);
  // Timers; `cpu_percent` and `memory_bytes` are of this process.
  void tick(TimePoint now, double epoch_s, double cpu_percent, uint64_t memory_bytes);
  void log(std::string line);  // also for the master's list of logs
  // The person at this end wants to leave.
  void leave(TimePoint now);

  // Messages to send, in order; the caller empties it.
  std::deque<std::string>& outbox() { return outbox_; }
  bool reconnect_wanted();  // true once after the master asked for it
  bool done() const { return done_; }
  const std::string& failure() const { return failure_; }  // why it is done; empty: in order
  WorkerState state() const { return state_; }
  bool connected() const { return acknowledged_; }
  int tests() const { return tests_; }

 private:
  void on_spawn(const MasterMessage& message, double epoch_s);
  void spawn(const SpawnOrder& order, double epoch_s);
  void finish_stop(double epoch_s, TimePoint now);
  void send_stats(double epoch_s);
  void fail(std::string why);

  const std::string id_;
  UserControl& control_;
  LocustStats& stats_;
  std::deque<std::string> outbox_;
  std::vector<std::string> lines_;  // not sent yet
  WorkerState state_ = WorkerState::kReady;
  double last_spawn_ = 0;
  std::optional<SpawnOrder> next_;  // came before the last test was over
  Duration stop_timeout_{};
  bool acknowledged_ = false, contact_ = false, reconnect_ = false, leaving_ = false, done_ = false;
  bool tell_quit_ = false;  // send "quit" when done
  int tests_ = 0;
  std::string failure_;
  TimePoint started_{}, heard_{}, heartbeat_at_{}, stats_at_{}, ready_at_{}, logs_at_{};
};

}  // namespace sis::perf
