// A worker's conversation with its master, on a clock turned by hand and with users that only
// remember what they were told.
#include "perf/locust/session.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sis::perf {
namespace {

using nlohmann::json;

class FakeUsers final : public UserControl {
 public:
  Status begin(const std::string& host) override {
    if (host == "bad") return Error{Code::kInvalidArgument, "no URL"};
    host_ = host, ++tests_, users_ = {{"A", 0}};
    return {};
  }
  std::string set_users(const std::map<std::string, int>& users) override {
    for (const auto& [name, count] : users) {
      if (name != "A") return "no class " + name;
      users_[name] = count;
    }
    idle_ = false;
    return {};
  }
  std::map<std::string, int> users() const override { return users_; }
  void stop(Duration patience) override {
    ++stops_, patience_ = patience, users_ = {{"A", 0}};
    if (patience == Duration{}) idle_ = true;
  }
  bool idle() const override { return idle_; }
  std::vector<std::string> take_faults() override { return std::exchange(faults_, {}); }

  std::map<std::string, int> users_;
  std::string host_;
  int tests_ = 0, stops_ = 0;
  Duration patience_{};
  bool idle_ = true;
  std::vector<std::string> faults_;
};

class LocustSessionTest : public testing::Test {
 protected:
  void SetUp() override { session_.start(now_, epoch()); }
  double epoch() const { return 1e9 + to_seconds(now_.time_since_epoch()); }

  void hear(const std::string& type, const json& data = nullptr) {
    session_.on_message({.type = type, .data = data.dump()}, now_, epoch());
  }
  void spawn(double timestamp, const json& users, double stop_timeout = 0,
             const json& host = nullptr) {
    hear("spawn", {{"timestamp", timestamp},
                   {"user_classes_count", users},
                   {"host", host},
                   {"stop_timeout", stop_timeout},
                   {"parsed_options", json::object()}});
  }
  // Lets time pass in steps of 100 ms; the types of what was sent, in order.
  std::vector<std::string> pass(double seconds) {
    for (int i = 0; i < static_cast<int>(seconds * 10 + 0.5); ++i) {
      now_ += from_ms(100);
      session_.tick(now_, epoch(), 12.5, 1 << 20);
    }
    return sent();
  }
  std::vector<std::string> sent() {
    std::vector<std::string> types;
    for (const auto& bytes : session_.outbox()) {
      const auto message = parse_msgpack(bytes);
      EXPECT_TRUE(message.ok());
      EXPECT_EQ((*message)[2], "me");
      types.push_back((*message)[0]);
      last_[types.back()] = (*message)[1];
    }
    session_.outbox().clear();
    return types;
  }
  static int count(const std::vector<std::string>& types, const std::string& type) {
    return static_cast<int>(std::count(types.begin(), types.end(), type));
  }
  void connect() {
    sent();
    hear("ack", {{"index", 0}});
  }

  FakeUsers users_;
  LocustStats stats_;
  LocustSession session_{"me", users_, stats_};
  TimePoint now_{std::chrono::hours(1)};
  std::map<std::string, json> last_;
};

TEST_F(LocustSessionTest, GreetsUntilTheMasterAnswers) {
  EXPECT_EQ(sent(), std::vector<std::string>{"client_ready"});
  EXPECT_EQ(last_["client_ready"], -1);
  // Nobody is there to get heartbeats.
  EXPECT_EQ(pass(11), (std::vector<std::string>{"client_ready", "client_ready"}));
  hear("ack", {{"index", 3}});
  const auto types = pass(9);
  EXPECT_EQ(count(types, "client_ready"), 0);
  EXPECT_EQ(count(types, "heartbeat"), 9);
  EXPECT_EQ(count(types, "stats"), 3);
  EXPECT_EQ(
      last_["heartbeat"],
      (json{{"state", "ready"}, {"current_cpu_usage", 12.5}, {"current_memory_usage", 1 << 20}}));
}

TEST_F(LocustSessionTest, SpawnsSetAbsoluteTargetsAndOldOnesAreDropped) {
  connect();
  spawn(10, {{"A", 2}}, 0, "http://there:1");
  EXPECT_EQ(sent(), (std::vector<std::string>{"spawning", "spawning_complete"}));
  EXPECT_EQ(last_["spawning_complete"],
            (json{{"user_classes_count", {{"A", 2}}}, {"user_count", 2}}));
  EXPECT_EQ(users_.host_, "http://there:1");
  spawn(11, {{"A", 5}});
  spawn(11, {{"A", 9}});  // not newer
  spawn(4, {{"A", 1}});
  EXPECT_EQ(users_.users_["A"], 5);
  EXPECT_EQ(users_.tests_, 1);  // a ramp is one test
  EXPECT_EQ(session_.state(), WorkerState::kRunning);
  pass(3);
  EXPECT_EQ(last_["heartbeat"]["state"], "running");
  EXPECT_EQ(last_["stats"]["user_count"], 5);
}

TEST_F(LocustSessionTest, ANewTestBeginsWithoutOldFigures) {
  connect();
  stats_.add_failure({"GET", "/"}, "old", 1);
  spawn(1, {{"A", 1}});
  pass(3);
  EXPECT_EQ(last_["stats"]["stats_total"]["num_requests"], 0);
  stats_.add_failure({"GET", "/"}, "new", 1);
  spawn(2, {{"A", 2}});  // the ramp goes on
  pass(3);
  EXPECT_EQ(last_["stats"]["stats_total"]["num_requests"], 1);
}

TEST_F(LocustSessionTest, StopWaitsForAnswersThenSendsLastFiguresAndGreetsAgain) {
  connect();
  spawn(1, {{"A", 4}}, 2.5);
  sent();
  hear("stop");
  EXPECT_EQ(users_.patience_, from_seconds(2.5));
  const auto waiting = pass(1);
  EXPECT_EQ(count(waiting, "client_stopped"), 0);
  EXPECT_EQ(last_["heartbeat"]["state"], "running");
  stats_.add_failure({"GET", "/"}, "late", 1);
  users_.idle_ = true;
  now_ += from_ms(100);
  session_.tick(now_, epoch(), 0, 0);
  EXPECT_EQ(sent(), (std::vector<std::string>{"stats", "client_stopped", "client_ready"}));
  EXPECT_EQ(last_["stats"]["stats_total"]["num_requests"], 1);
  EXPECT_EQ(last_["stats"]["user_count"], 0);
  hear("ack", {{"index", 0}});
  spawn(5, {{"A", 1}});
  EXPECT_EQ(users_.tests_, 2);
  EXPECT_EQ(session_.state(), WorkerState::kRunning);
}

// A master that starts again at once gets its users when the last test's answers are in; until then
// the heart beats.
TEST_F(LocustSessionTest, ASpawnBeforeTheEndOfATestWaitsForIt) {
  connect();
  spawn(1, {{"A", 4}}, 30);
  hear("stop");
  sent();
  spawn(2, {{"A", 2}}, 5, "http://next:1");
  spawn(3, {{"A", 3}}, 5, "http://next:1");  // the ramp goes on
  EXPECT_EQ(users_.tests_, 1);
  EXPECT_EQ(users_.users_["A"], 0);
  EXPECT_EQ(count(pass(2), "heartbeat"), 2);
  users_.idle_ = true;
  now_ += from_ms(100);
  session_.tick(now_, epoch(), 0, 0);
  EXPECT_EQ(sent(), (std::vector<std::string>{"stats", "client_stopped", "client_ready", "spawning",
                                              "spawning_complete"}));
  EXPECT_EQ(users_.tests_, 2);
  EXPECT_EQ(users_.users_["A"], 3);
  EXPECT_EQ(users_.host_, "http://next:1");
  EXPECT_EQ(session_.state(), WorkerState::kRunning);
  hear("stop");
  EXPECT_EQ(users_.patience_, from_seconds(5));
  // A second stop takes back what waits.
  spawn(4, {{"A", 9}});
  hear("stop");
  users_.idle_ = true;
  pass(0.1);
  EXPECT_EQ(users_.tests_, 2);
  EXPECT_EQ(session_.state(), WorkerState::kReady);
}

TEST_F(LocustSessionTest, QuitSendsFiguresAtOnceAndAtTheEnd) {
  connect();
  spawn(1, {{"A", 4}});
  sent();
  stats_.add_failure({"GET", "/"}, "x", 1);
  hear("quit");
  EXPECT_EQ(sent(), std::vector<std::string>{"stats"});
  EXPECT_EQ(users_.stops_, 1);
  EXPECT_EQ(pass(0.1), std::vector<std::string>{"stats"});
  EXPECT_TRUE(session_.done());
  EXPECT_EQ(session_.failure(), "");
}

TEST_F(LocustSessionTest, APersonsLeaveIsToldToTheMaster) {
  connect();
  spawn(1, {{"A", 4}});
  sent();
  session_.leave(now_);
  EXPECT_EQ(pass(0.1), (std::vector<std::string>{"stats", "quit"}));
  EXPECT_TRUE(session_.done());
}

TEST_F(LocustSessionTest, AfterQuitFiguresGoAsTheyCome) {
  connect();
  spawn(1, {{"A", 4}}, 5);
  sent();
  hear("quit");
  EXPECT_EQ(sent(), std::vector<std::string>{"stats"});
  EXPECT_EQ(users_.patience_, from_seconds(5));
  EXPECT_EQ(count(pass(0.5), "stats"), 5);
  EXPECT_FALSE(session_.done());
  users_.idle_ = true;
  EXPECT_EQ(pass(0.1), std::vector<std::string>{"stats"});
  EXPECT_TRUE(session_.done());
}

TEST_F(LocustSessionTest, LeavesWhenTheMasterIsSilent) {
  connect();
  spawn(1, {{"A", 4}});
  for (int i = 0; i < 100; ++i) {
    pass(1);
    hear("heartbeat");
  }
  EXPECT_FALSE(session_.done());
  pass(59);
  EXPECT_FALSE(session_.done());
  pass(2);
  EXPECT_TRUE(session_.done());
  EXPECT_NE(session_.failure().find("nothing heard"), std::string::npos);
  EXPECT_EQ(users_.stops_, 1);
}

TEST_F(LocustSessionTest, LeavesWhenNobodyEverAnswers) {
  pass(299);
  EXPECT_FALSE(session_.done());
  pass(2);
  EXPECT_TRUE(session_.done());
  EXPECT_NE(session_.failure().find("no answer"), std::string::npos);
}

TEST_F(LocustSessionTest, ReconnectIsAskedForOnce) {
  connect();
  EXPECT_FALSE(session_.reconnect_wanted());
  hear("reconnect");
  EXPECT_TRUE(session_.reconnect_wanted());
  EXPECT_FALSE(session_.reconnect_wanted());
}

TEST_F(LocustSessionTest, WrongOrdersAndFaultsAreTold) {
  connect();
  hear("spawn", {{"timestamp", "soon"}});
  EXPECT_EQ(sent(), (std::vector<std::string>{"spawning", "exception"}));
  EXPECT_EQ(users_.tests_, 0);
  spawn(1, {{"B", 3}});
  EXPECT_EQ(count(sent(), "exception"), 1);
  EXPECT_EQ(last_["exception"]["msg"], "no class B");
  users_.faults_ = {"A: connection refused"};
  EXPECT_EQ(count(pass(0.1), "exception"), 1);
  EXPECT_EQ(last_["exception"]["msg"], "A: connection refused");
  const auto later = pass(10);
  EXPECT_EQ(count(later, "logs"), 1);
  EXPECT_EQ(last_["logs"]["worker_id"], "me");
  for (const char* unknown : {"spawning_complete", "update_user_class", "anything"}) hear(unknown);
  EXPECT_TRUE(sent().empty());
}

// No load goes anywhere when the master names a server that cannot be.
TEST_F(LocustSessionTest, ABadHostIsToldAndStartsNoUsers) {
  connect();
  spawn(1, {{"A", 3}}, 0, "bad");
  EXPECT_EQ(sent(), (std::vector<std::string>{"spawning", "exception", "spawning_complete"}));
  EXPECT_EQ(last_["exception"]["msg"], "no URL");
  EXPECT_EQ(last_["spawning_complete"]["user_count"], 0);
  EXPECT_EQ(users_.tests_, 0);
  EXPECT_EQ(users_.users_["A"], 0);
  EXPECT_EQ(session_.state(), WorkerState::kReady);
  EXPECT_EQ(session_.tests(), 0);
  spawn(2, {{"A", 3}}, 0, "http://there:1");
  EXPECT_EQ(users_.users_["A"], 3);
  EXPECT_EQ(session_.state(), WorkerState::kRunning);
}

TEST(LocustProtocol, RefusesWhatIsNoMessage) {
  using namespace std::string_view_literals;
  EXPECT_FALSE(parse_master_message("\x92\xa1x\xc0"sv).ok());
  EXPECT_FALSE(parse_master_message("\x93\x01\xc0\xc0"sv).ok());
  EXPECT_FALSE(parse_master_message("nonsense").ok());
  for (const char* data :
       {"[]", "{}", R"({"timestamp":1})", R"({"timestamp":1,"user_classes_count":{"A":-1}})",
        R"({"timestamp":1,"user_classes_count":{"A":1.5}})",
        R"({"timestamp":1,"user_classes_count":{"A":99999999}})"})
    EXPECT_FALSE(parse_spawn(data).ok()) << data;
  const auto order = parse_spawn(
      R"({"timestamp":1,"user_classes_count":{"A":1},"host":"http://x","stop_timeout":3})");
  ASSERT_TRUE(order.ok());
  EXPECT_EQ(order->stop_timeout, from_seconds(3));
}

}  // namespace
}  // namespace sis::perf
