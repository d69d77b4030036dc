// The users of a worker against a scripted server, as a session orders them about.
#include "perf/locust/users.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/strings.h"
#include "net/http_client_test_server.h"

namespace sis::perf {
namespace {

using net::ScriptedServer;

class LocustUsersTest : public testing::Test {
 protected:
  // Users of one scenario that asks for the number of each request.
  void make(const std::string& base_url) {
    auto plan = parse_plan(concat("environments: {e: {base_url: '", base_url,
                                  "'}}\nscenarios: {a: {vus: 1, duration: 1s, tasks: [{http: "
                                  "{path: '/{{index}}', template: true}}]}}\n"),
                           "plan.yaml", {});
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    plan_ = std::move(*plan);
    users_ = std::make_unique<LocustUsers>(LocustUsersOptions{.plan = &plan_}, stats_);
  }
  // How often each path was asked for.
  std::map<std::string, int> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  template <typename Condition>
  static bool until(Condition condition) {
    for (int i = 0; i < 2000 && !condition(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return condition();
  }

  std::mutex mutex_;
  std::map<std::string, int> seen_;
  ScriptedServer server_{[this](ScriptedServer::Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      const std::lock_guard lock(mutex_);
      ++seen_[split(request, ' ')[1]];
      peer.send(net::plain_answer("{}"));
    }
  }};
  Plan plan_;
  LocustStats stats_;
  std::unique_ptr<LocustUsers> users_;
};

TEST_F(LocustUsersTest, AHostThatIsNoUrlIsAnError) {
  make(server_.url());
  const Status begun = users_->begin("localhost 8000");
  ASSERT_FALSE(begun.ok());
  EXPECT_NE(begun.error().message.find("the master's host"), std::string::npos)
      << begun.error().message;
  EXPECT_TRUE(users_->begin("").ok());
  EXPECT_TRUE(users_->begin("http://127.0.0.1:1").ok());
}

// Answers of 2 bytes, by task.
TEST_F(LocustUsersTest, ContentBytesAreOfTheTasksOwnBodies) {
  auto plan = parse_plan(concat("environments: {e: {base_url: '", server_.url(),
                                "'}}\nscenarios: {a: {vus: 1, duration: 1s, tasks: [{http: {path: "
                                "/x}}, {http: {path: /y}}]}}\n"),
                         "plan.yaml", {});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  plan_ = std::move(*plan);
  users_ = std::make_unique<LocustUsers>(LocustUsersOptions{.plan = &plan_}, stats_);
  ASSERT_TRUE(users_->begin("").ok());
  EXPECT_EQ(users_->set_users({{"a", 1}}), "");
  EXPECT_TRUE(until([&] { return seen()["/x"] > 2 && seen()["/y"] > 2; }));
  users_->stop(std::chrono::seconds(20));
  ASSERT_TRUE(until([&] { return users_->idle(); }));
  MsgpackWriter out;
  stats_.take(out, {}, 1);
  const auto report = parse_msgpack(out.bytes());
  ASSERT_TRUE(report.ok());
  ASSERT_EQ((*report)["stats"].size(), 2u);
  for (const auto& row : (*report)["stats"])
    EXPECT_EQ(row["total_content_length"], 2 * row["num_requests"].get<int>()) << row;
}

// What a test sent, no later one sends again: a server's cache would answer it.
TEST_F(LocustUsersTest, ALaterTestGoesOnCounting) {
  make(server_.url());
  for (int test = 0; test < 3; ++test) {
    const size_t before = seen().size();
    ASSERT_TRUE(users_->begin("").ok());
    EXPECT_EQ(users_->set_users({{"a", 2}}), "");
    EXPECT_TRUE(until([&] { return seen().size() >= before + 10; }));
    users_->stop(std::chrono::seconds(20));
    ASSERT_TRUE(until([&] { return users_->idle(); }));
  }
  for (const auto& [path, count] : seen()) EXPECT_EQ(count, 1) << path;
}

}  // namespace
}  // namespace sis::perf
