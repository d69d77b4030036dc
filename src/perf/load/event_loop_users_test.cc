// Users of a closed loop that come, think and go; windows, parts and phases of what they measure.
// Real loopback sockets: times bound from below, or with room for a busy machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/load/mix.h"
#include "perf/load/plain_http.h"
#include "perf/load/run.h"

namespace sis::perf {
namespace {

using net::plain_answer;
using net::ScriptedServer;
using Peer = net::ScriptedServer::Peer;
using std::chrono::milliseconds;

std::unique_ptr<PlainHttpWorkload> get(const ScriptedServer& server, const std::string& path,
                                       const std::string& method = "GET") {
  PlainHttpOptions plain{.url = *net::parse_url(server.url() + path)};
  plain.request.method = method;
  return std::move(*PlainHttpWorkload::create(plain));
}

void answer_all(Peer& peer) {
  while (!peer.read_request().empty())
    if (!peer.send(plain_answer("ok"))) return;
}

RunOptions options_for(const ScriptedServer& server) {
  RunOptions options{.url = *net::parse_url(server.url()), .connections = 1, .requests = 0};
  options.timeout = from_seconds(20);
  options.errors_max = 10;
  return options;
}

RunResult run(const RunOptions& options, const Workload& workload) {
  auto result = run_load(options, workload, nullptr, nullptr);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? std::move(*result) : RunResult();
}

// A user that thinks 20 ms sends at most 50 times a second, however fast the server is.
TEST(Users, ThinkBetweenRequests) {
  ScriptedServer server(answer_all);
  for (const bool keep_alive : {true, false}) {
    auto options = options_for(server);
    options.connections = 4;
    options.keep_alive = keep_alive;
    options.think_min = milliseconds(20);
    options.think_max = milliseconds(30);
    options.duration = milliseconds(1000);
    const RunResult result = run(options, *get(server, "/"));
    EXPECT_EQ(result.tally.failed, 0u);
    EXPECT_LE(result.tally.ok, 4u * (1000 / 20 + 1));
    EXPECT_GE(result.tally.ok, 4u * 4);
    // After the first of each user, every request was due at the end of a thinking time.
    EXPECT_EQ(result.tally.late.count(), result.tally.ok - 4);
    if (!keep_alive) {
      EXPECT_EQ(result.tally.connects, result.tally.ok);
    }
  }
}

// Thinking ends with the run: nobody waits for a user who would think for an hour.
TEST(Users, ThinkingDoesNotHoldTheRunUp) {
  ScriptedServer server(answer_all);
  auto options = options_for(server);
  options.connections = 3;
  options.think_min = options.think_max = std::chrono::hours(1);
  options.duration = milliseconds(100);
  const TimePoint before = std::chrono::steady_clock::now();
  EXPECT_EQ(run(options, *get(server, "/")).tally.ok, 3u);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(30));
}

// Every user sends its share, however slow it is beside the others; nobody takes over.
TEST(Users, EachSendsItsOwnShare) {
  std::mutex mutex;
  std::map<int, int> answered;  // by connection
  ScriptedServer server([&](Peer& peer) {
    while (!peer.read_request().empty()) {
      if (peer.number == 0) peer.wait(milliseconds(10));
      {
        const std::lock_guard lock(mutex);
        ++answered[peer.number];
      }
      if (!peer.send(plain_answer("ok"))) return;
    }
  });
  for (const int pipeline : {1, 4}) {
    answered.clear();
    auto options = options_for(server);
    options.connections = 5;
    options.threads = 2;
    options.pipeline = pipeline;
    options.requests_per_user = 12;
    const RunResult result = run(options, *get(server, "/"));
    EXPECT_EQ(result.tally.ok, 60u);
    EXPECT_EQ(result.tally.unsent, 0u);
    EXPECT_EQ(answered.size(), 5u);
    for (const auto& [number, count] : answered) EXPECT_EQ(count, 12) << number;
  }
}

// Requests that fail or lose their connection, and warm-ups, change nothing about the shares; what
// time did not allow is told.
TEST(Users, SharesSurviveLostConnectionsAndEndWithTheTime) {
  ScriptedServer closing([](Peer& peer) {
    for (int i = 0; i < 3 && !peer.read_request().empty(); ++i)
      peer.send(plain_answer("no", i == 1 ? 500 : 200));
  });
  for (const bool keep_alive : {true, false}) {
    auto options = options_for(closing);
    options.connections = 4;
    options.keep_alive = keep_alive;
    options.requests_per_user = 9;
    options.warmup_requests = keep_alive ? 8 : 0;
    options.think_max = milliseconds(keep_alive ? 2 : 0);
    const RunResult result = run(options, *get(closing, "/"));
    EXPECT_EQ(result.tally.ok + result.tally.failed, 36u);
    EXPECT_EQ(result.tally.sent, 36u);
    if (keep_alive) {
      EXPECT_GT(result.tally.failed, 0u);
    }
  }
  ScriptedServer slow([](Peer& peer) {
    while (!peer.read_request().empty()) {
      peer.wait(milliseconds(30));
      if (!peer.send(plain_answer("ok"))) return;
    }
  });
  auto options = options_for(slow);
  options.connections = 2;
  options.requests_per_user = 1000;
  options.duration = milliseconds(200);
  const RunResult result = run(options, *get(slow, "/"));
  EXPECT_GT(result.tally.ok, 0u);
  EXPECT_EQ(result.tally.sent + result.tally.unsent, 2000u);
}

// A server that closes idle connections while their users think costs new connections, no failures.
TEST(Users, LosingTheConnectionWhileThinkingIsNoFailure) {
  ScriptedServer server([](Peer& peer) {
    peer.read_request();
    peer.send(plain_answer("ok"));
    peer.wait(milliseconds(5));
  });
  auto options = options_for(server);
  options.connections = 2;
  options.requests = 12;
  options.think_min = options.think_max = milliseconds(20);
  const RunResult result = run(options, *get(server, "/"));
  EXPECT_EQ(result.tally.ok, 12u);
  EXPECT_EQ(result.tally.failed, 0u);
  EXPECT_GE(result.tally.connects, 12u);
}

// 0 to 10 users within 1.2 s, 10 for 800 ms, none within 400 ms: connections are made as users come
// and closed as they go, and the windows show how many there are.
TEST(Users, FollowTheProfile) {
  std::atomic<int> open{0}, most{0};
  ScriptedServer server([&](Peer& peer) {
    const int now = ++open;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    answer_all(peer);
    --open;
  });
  for (const int threads : {1, 3}) {
    most = 0;
    auto options = options_for(server);
    options.threads = threads;
    options.users = {
        .start = 0,
        .stages = {{milliseconds(1200), 10}, {milliseconds(800), 10}, {milliseconds(400), 0}}};
    options.duration = options.users.length();
    options.connections = threads;  // raised to the profile's highest
    options.window = milliseconds(200);
    const RunResult result = run(options, *get(server, "/"));
    EXPECT_EQ(result.tally.failed, 0u);
    EXPECT_EQ(result.tally.connects, 10u) << threads;
    EXPECT_GE(most, 10);
    ASSERT_GE(result.windows.size(), 11u);
    EXPECT_LT(result.windows[1].users, 6);   // after 400 ms
    EXPECT_EQ(result.windows[7].users, 10);  // 1.4..1.6 s
    EXPECT_LT(result.windows[11].users, 4);  // near the end
  }
}

// Whoever drives the run may change the number of users at any moment; one that is taken away gets
// its answer.
TEST(Users, FollowACountThatChanges) {
  ScriptedServer server([](Peer& peer) {
    while (!peer.read_request().empty()) {
      peer.wait(milliseconds(2));
      if (!peer.send(plain_answer("ok"))) return;
    }
  });
  std::atomic<int> users{0};
  auto options = options_for(server);
  options.connections = 8;
  options.threads = 2;
  options.users_now = &users;
  options.window = milliseconds(40);
  const int plan[] = {0, 3, 8, 1, 0, 5};
  size_t step = 0;
  int reached = 0, windows = 0;
  options.on_window = [&](const Window& window) {
    // Two windows in a row that show the wanted number, and without users no answers; how soon is
    // the machine's matter.
    const bool as_wanted = window.users == plan[step] && (plan[step] > 0 || window.total.ok == 0);
    reached = as_wanted ? reached + 1 : 0;
    if (reached == 2) {
      reached = 0;
      if (++step == std::size(plan)) return false;
      users = plan[step];
    }
    return ++windows < 1000;
  };
  const RunResult result = run(options, *get(server, "/"));
  EXPECT_TRUE(result.ended_by_rule);
  EXPECT_EQ(result.tally.failed, 0u);
  EXPECT_EQ(result.tally.abandoned, 0u);
  EXPECT_EQ(step, std::size(plan));
  EXPECT_GT(result.tally.ok, 20u);
}

// Windows follow each other without gaps, and together they are the run.
TEST(Windows, AddUpToTheRun) {
  ScriptedServer server(answer_all);
  for (const int threads : {1, 3}) {
    auto options = options_for(server);
    options.connections = 6;
    options.threads = threads;
    options.warmup_requests = 50;
    options.duration = milliseconds(500);
    options.window = milliseconds(50);
    uint64_t ok = 0, sent = 0;
    int number = 0;
    Histogram latency;
    options.on_window = [&](const Window& window) {
      EXPECT_EQ(window.number, number++);
      EXPECT_NEAR(window.start_s, 0.05 * window.number, 1e-9);
      if (window.number < 10) {
        EXPECT_DOUBLE_EQ(window.length_s, 0.05);
      }
      EXPECT_NEAR(window.total.wall_s(), window.length_s, 1e-9);
      EXPECT_EQ(window.total.ok_in_window, window.total.ok);
      ok += window.total.ok;
      sent += window.total.sent;
      latency.merge(window.total.latency);
      return true;
    };
    const RunResult result = run(options, *get(server, "/"));
    EXPECT_GE(number, 10);
    EXPECT_EQ(ok, result.tally.ok);
    EXPECT_EQ(sent, result.tally.sent);
    EXPECT_EQ(latency.count(), result.tally.latency.count());
    EXPECT_DOUBLE_EQ(latency.quantile_ms(0.9), result.tally.latency.quantile_ms(0.9));
    EXPECT_NEAR(result.tally.wall_s(), 0.5, 1e-6);
    uint64_t rows = 0;
    for (const WindowRow& row : result.windows) rows += row.requests;
    EXPECT_EQ(rows, result.tally.ok + result.tally.failed);
  }
}

// A window in which nothing was answered is one of zeros, not one left out.
TEST(Windows, SilenceIsShown) {
  std::atomic<int> answered{0};
  ScriptedServer server([&](Peer& peer) {
    while (!peer.read_request().empty()) {
      if (++answered == 20) peer.wait(milliseconds(300));
      if (!peer.send(plain_answer("ok"))) return;
    }
  });
  auto options = options_for(server);
  options.duration = milliseconds(600);
  options.window = milliseconds(50);
  const RunResult result = run(options, *get(server, "/"));
  EXPECT_GE(std::count_if(result.windows.begin(), result.windows.end(),
                          [](const WindowRow& row) { return row.requests == 0; }),
            4);
  EXPECT_GE(result.windows.size(), 12u);
}

TEST(Windows, ARuleEndsTheRunAndAnswersAreWaitedFor) {
  ScriptedServer server([](Peer& peer) {
    while (!peer.read_request().empty()) {
      peer.wait(milliseconds(10));
      if (!peer.send(plain_answer("ok"))) return;
    }
  });
  auto options = options_for(server);
  options.connections = 3;
  options.window = milliseconds(30);
  options.on_window = [](const Window& window) { return window.number < 4; };
  const RunResult result = run(options, *get(server, "/"));
  EXPECT_TRUE(result.ended_by_rule);
  EXPECT_EQ(result.tally.abandoned, 0u);
  EXPECT_EQ(result.tally.unsent, 0u);
  EXPECT_EQ(result.tally.ok, result.tally.sent);
  EXPECT_GE(result.windows.size(), 5u);
  EXPECT_FALSE(result.tally.interrupted);
}

// Errors keep their first texts only, over however many windows.
TEST(Windows, FewErrorTextsAreKept) {
  ScriptedServer server([](Peer& peer) {
    while (!peer.read_request().empty())
      if (!peer.send(plain_answer("busy", 503))) return;
  });
  auto options = options_for(server);
  options.connections = 2;
  options.duration = milliseconds(300);
  options.window = milliseconds(20);
  options.errors_max = 3;
  const RunResult result = run(options, *get(server, "/"));
  EXPECT_GT(result.tally.failed, 10u);
  EXPECT_EQ(result.tally.errors.size(), 3u);
  EXPECT_EQ(result.tally.messages.size(), 1u);
}

// A mix of a fast, a slow and a missing path, one of them by HEAD: shares are exact, every part
// has its own figures and together they are the run's.
TEST(Parts, AreCountedApart) {
  ScriptedServer server([](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      if (request.find(" /slow ") != std::string::npos) peer.wait(milliseconds(20));
      const bool head = request.starts_with("HEAD"),
                 missing = request.find(" /none ") != std::string::npos;
      if (!peer.send(head      ? std::string("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
                     : missing ? plain_answer("{}", 404)
                               : plain_answer("ok")))
        return;
    }
  });
  std::vector<MixPart> parts;
  parts.push_back({.name = "fast", .weight = 70, .workload = get(server, "/fast")});
  parts.push_back({.name = "slow", .weight = 10, .workload = get(server, "/slow")});
  parts.push_back({.name = "none", .weight = 10, .workload = get(server, "/none")});
  parts.push_back({.name = "head", .weight = 10, .workload = get(server, "/fast", "HEAD")});
  const auto mix = MixWorkload::create(std::move(parts));
  ASSERT_TRUE(mix.ok()) << mix.error().message;
  auto options = options_for(server);
  options.requests = 200;
  options.connections = 1;
  options.window = milliseconds(50);
  const RunResult result = run(options, **mix);
  ASSERT_EQ(result.parts.size(), 4u);
  EXPECT_EQ(result.part_names, (std::vector<std::string>{"fast", "slow", "none", "head"}));
  EXPECT_EQ(result.parts[0].ok, 140u);
  EXPECT_EQ(result.parts[1].ok, 20u);
  EXPECT_EQ(result.parts[2].failed, 20u);
  EXPECT_EQ(result.parts[2].statuses[404], 20u);
  EXPECT_EQ(result.parts[3].ok, 20u);
  EXPECT_EQ(result.tally.ok, 180u);
  EXPECT_EQ(result.tally.failed, 20u);
  EXPECT_EQ(result.tally.sent, 200u);
  EXPECT_GE(result.parts[1].latency.min_ms(), 20);
  EXPECT_LT(result.parts[0].latency.quantile_ms(0.5), 20);
  EXPECT_NEAR(result.parts[0].wall_s(), result.tally.wall_s(), 1e-9);
}

// The server takes 20 ms before its first byte and 30 ms between first and last.
TEST(HttpTimes, SayWhereTheTimeWent) {
  ScriptedServer server([](Peer& peer) {
    while (!peer.read_request().empty()) {
      peer.wait(milliseconds(20));
      const std::string answer = plain_answer("0123456789");
      if (!peer.send(answer.substr(0, 10))) return;
      peer.wait(milliseconds(30));
      if (!peer.send(answer.substr(10))) return;
    }
  });
  auto options = options_for(server);
  options.connections = 2;
  options.requests = 10;
  const HttpTimes http = run(options, *get(server, "/")).tally.http;
  EXPECT_EQ(http.connecting.count(), 2u);
  EXPECT_TRUE(http.tls_handshaking.empty());
  EXPECT_EQ(http.sending.count(), 10u);
  EXPECT_GE(http.waiting.min_ms(), 20);
  EXPECT_GE(http.receiving.min_ms(), 29);
  EXPECT_LT(http.sending.quantile_ms(0.5), 15);
}

// Due times come from the trace: three at once, one a second later.
TEST(OpenLoops, ATraceIsSentAsItIs) {
  std::mutex mutex;
  std::vector<TimePoint> came;
  ScriptedServer server([&](Peer& peer) {
    while (!peer.read_request().empty()) {
      {
        const std::lock_guard lock(mutex);
        came.push_back(std::chrono::steady_clock::now());
      }
      if (!peer.send(plain_answer("ok"))) return;
    }
  });
  auto options = options_for(server);
  options.connections = 4;
  options.threads = 2;
  options.trace = std::make_shared<TraceTimes>(
      TraceTimes{milliseconds(10), milliseconds(10), milliseconds(10), milliseconds(1010)});
  const RunResult result = run(options, *get(server, "/"));
  EXPECT_EQ(result.tally.ok, 4u);
  EXPECT_EQ(result.tally.unsent, 0u);
  ASSERT_EQ(came.size(), 4u);
  EXPECT_GE(came[3] - came[0], milliseconds(500));
  EXPECT_EQ(result.tally.late.count(), 4u);
}

// 0 to 100 requests/s within 2 s: 100 requests, most of them in the second half.
TEST(OpenLoops, ARateMayRise) {
  ScriptedServer server(answer_all);
  auto options = options_for(server);
  options.connections = 8;
  options.rates = {.start = 0, .stages = {{milliseconds(2000), 100}}};
  options.duration = options.rates.length();
  options.window = milliseconds(1000);
  options.warmup_requests = 5;
  const RunResult result = run(options, *get(server, "/"));
  EXPECT_EQ(result.tally.sent + result.tally.unsent, 100u);
  ASSERT_GE(result.windows.size(), 2u);
  EXPECT_NEAR(static_cast<double>(result.windows[0].requests), 25, 5);
}

}  // namespace
}  // namespace sis::perf
