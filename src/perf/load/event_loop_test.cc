// The generator against servers that misbehave in every way we know, over real loopback sockets.
// Nothing here asserts how fast something is; times only bound waits from below.
#include "perf/load/event_loop.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/load/plain_http.h"
#include "perf/load/run.h"
#include "perf/report/verdict.h"

namespace sis::perf {
namespace {

using net::plain_answer;
using net::ScriptedServer;
using Peer = net::ScriptedServer::Peer;
using std::chrono::microseconds;
using std::chrono::milliseconds;

// Answers every request with what `answer(number of the request on this connection)` gives.
ScriptedServer::Peer* serve(Peer& peer, const std::function<std::string(int)>& answer) {
  for (int i = 0; !peer.read_request().empty(); ++i)
    if (!peer.send(answer(i))) break;
  return &peer;
}

// The body must be the request's own number: mixed-up answers are seen.
class NumberedWorkload final : public Workload {
 public:
  std::string_view request(uint64_t index, std::string& scratch) const override {
    scratch = concat("GET /", index, " HTTP/1.1\r\nHost: a\r\n\r\n");
    return scratch;
  }
  std::unique_ptr<Judge> make_judge() const override {
    class Same final : public Judge {
      Judgement judge(uint64_t index, const Answer& answer) override {
        if (answer.status != 200)
          return {.status_fault = true, .error = concat("status ", answer.status)};
        if (answer.body != std::to_string(index))
          return {.error = concat("answer ", in_quotes(answer.body), " to request ", index)};
        return {.ok = true, .items = 2, .prompt_tokens = 5};
      }
    };
    return std::make_unique<Same>();
  }
};

std::string number_of(const std::string& request) {
  if (request.empty()) return {};  // the client is gone
  return request.substr(5, request.find(' ', 5) - 5);
}

RunOptions options_for(const ScriptedServer& server, int connections, uint64_t requests) {
  RunOptions options{
      .url = *net::parse_url(server.url()), .connections = connections, .requests = requests};
  options.timeout = from_seconds(20);
  options.give_up_after = from_ms(300);
  options.errors_max = 100;
  return options;
}

Tally run(const RunOptions& options, const Workload& workload,
          const std::atomic<bool>* stop = nullptr) {
  auto result = run_load(options, workload, stop, nullptr);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? std::move(result->tally) : Tally();
}

std::string first_error(const Tally& tally) {
  return tally.errors.empty() ? "" : tally.errors.front().message;
}

TEST(EventLoop, EveryRequestIsAnsweredOnceByItsOwnAnswer) {
  ScriptedServer server([](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();)
      peer.send(plain_answer(number_of(request)));
  });
  for (const int threads : {1, 3}) {
    auto options = options_for(server, 7, 1000);
    options.threads = threads;
    options.warmup_requests = 50;
    const int before = server.requests();
    const Tally tally = run(options, NumberedWorkload());
    EXPECT_EQ(tally.ok, 1000u);
    EXPECT_EQ(tally.failed, 0u) << first_error(tally);
    EXPECT_EQ(tally.items, 2000u);
    EXPECT_EQ(tally.prompt_tokens, 5000u);
    EXPECT_EQ(tally.latency.count(), 1000u);  // warm-up is not in it
    EXPECT_EQ(server.requests() - before, 1050);
    EXPECT_EQ(tally.connects, 7u);
    EXPECT_GT(tally.bytes_out, 1000u * 20);
    EXPECT_GT(tally.cpu_s, 0);
  }
}

TEST(EventLoop, FragmentedAndChunkedAnswersArePutTogether) {
  ScriptedServer server([](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      const std::string number = number_of(request);
      if (peer.number % 2 == 0)
        peer.send_slowly(plain_answer(number), 7, microseconds(50));
      else
        peer.send_slowly(concat("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
                                number.substr(0, 1), "\r\n",
                                number.size() > 1 ? fmt::format("{:x}\r\n{}\r\n", number.size() - 1,
                                                                number.substr(1))
                                                  : "",
                                "0\r\n\r\n"),
                         3, microseconds(50));
    }
  });
  const Tally tally = run(options_for(server, 4, 60), NumberedWorkload());
  EXPECT_EQ(tally.ok, 60u) << first_error(tally);
}

TEST(EventLoop, PipelinedAnswersComeBackInOrder) {
  // Answers go out in bursts, so that several arrive in one read.
  ScriptedServer server([](Peer& peer) {
    std::string burst;
    int waiting = 0;
    for (std::string request; !(request = peer.read_request()).empty();) {
      burst += plain_answer(number_of(request));
      if (++waiting % 4 != 0) continue;
      peer.send(burst);
      burst.clear();
    }
  });
  auto options = options_for(server, 2, 800);
  options.pipeline = 8;
  const Tally tally = run(options, NumberedWorkload());
  EXPECT_EQ(tally.ok, 800u) << first_error(tally);
}

TEST(EventLoop, ConnectionCloseMeansANewConnection) {
  ScriptedServer server([](Peer& peer) {
    const std::string number = number_of(peer.read_request());
    peer.send(concat("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ", number.size(),
                     "\r\n\r\n", number));
  });
  const Tally tally = run(options_for(server, 3, 40), NumberedWorkload());
  EXPECT_EQ(tally.ok, 40u) << first_error(tally);
  EXPECT_GE(tally.connects, 40u);
  EXPECT_LE(tally.connects, 42u);  // the last ones may find nothing left to send
}

TEST(EventLoop, BodyUntilCloseIsAccepted) {
  ScriptedServer server([](Peer& peer) {
    peer.send(concat("HTTP/1.1 200 OK\r\n\r\n", number_of(peer.read_request())));
  });
  const Tally tally = run(options_for(server, 2, 10), NumberedWorkload());
  EXPECT_EQ(tally.ok, 10u) << first_error(tally);
}

// A server may close a kept connection at any time between two requests: not a failure, but told.
TEST(EventLoop, SilentlyClosedConnectionIsRetriedOnce) {
  ScriptedServer server([](Peer& peer) {
    for (int i = 0; i < 3; ++i) peer.send(plain_answer(number_of(peer.read_request())));
    peer.read_request();  // swallowed
  });
  const Tally tally = run(options_for(server, 2, 30), NumberedWorkload());
  EXPECT_EQ(tally.ok, 30u) << first_error(tally);
  EXPECT_GE(tally.resent, 7u);
}

// A fresh connection that answers nothing is a failure, not a reason to try for ever.
TEST(EventLoop, CloseWithoutAnswerFailsTheRequest) {
  ScriptedServer server([](Peer& peer) { peer.read_request(); });
  const Tally tally = run(options_for(server, 2, 6), NumberedWorkload());
  EXPECT_EQ(tally.ok, 0u);
  EXPECT_EQ(tally.failed, 6u);
  EXPECT_EQ(tally.faults[static_cast<size_t>(Fault::kClosed)], 6u);
  EXPECT_EQ(first_error(tally), "connection closed before any answer");
}

TEST(EventLoop, BrokenAnswersAreFailuresWithTheirReason) {
  struct Case {
    std::string answer, want;
    Fault fault;
  };
  const Case cases[] = {
      {"220 mail.example ESMTP\r\n", "not an HTTP/1.x response", Fault::kProtocol},
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
       "connection closed after 3 of 10 body bytes", Fault::kClosed},
      {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "Content-Length", Fault::kProtocol},
      {plain_answer("wrong"), "answer 'wrong' to request", Fault::kBody},
  };
  for (const Case& c : cases) {
    ScriptedServer server([&](Peer& peer) {
      peer.read_request();
      peer.send(c.answer);
    });
    const Tally tally = run(options_for(server, 2, 6), NumberedWorkload());
    EXPECT_EQ(tally.ok, 0u);
    EXPECT_EQ(tally.failed, 6u) << c.answer;
    EXPECT_EQ(tally.faults[static_cast<size_t>(c.fault)], 6u) << c.answer << first_error(tally);
    EXPECT_NE(first_error(tally).find(c.want), std::string::npos) << first_error(tally);
  }
}

TEST(EventLoop, ResetInsideAnAnswerIsAFailure) {
  ScriptedServer server([](Peer& peer) {
    peer.send(plain_answer(number_of(peer.read_request())));
    peer.read_request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab");
    peer.wait(milliseconds(5));
    peer.reset();
  });
  const Tally tally = run(options_for(server, 1, 8), NumberedWorkload());
  EXPECT_EQ(tally.ok, 4u);
  EXPECT_EQ(tally.failed, 4u);
  EXPECT_EQ(tally.faults[static_cast<size_t>(Fault::kClosed)], 4u) << first_error(tally);
}

// Bytes after the end of an answer would be taken for the next one.
TEST(EventLoop, UnaskedBytesCloseTheConnection) {
  ScriptedServer server([](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();)
      if (!peer.send(plain_answer(number_of(request)) + "surplus")) break;
  });
  const Tally tally = run(options_for(server, 1, 5), NumberedWorkload());
  EXPECT_EQ(tally.ok, 5u) << first_error(tally);
  EXPECT_EQ(tally.connects, 5u);
  EXPECT_EQ(first_error(tally), "bytes after the end of an answer");
}

TEST(EventLoop, StatusesAreCountedAndErrorTextsKept) {
  ScriptedServer server([](Peer& peer) {
    serve(peer, [](int i) {
      return i % 4 == 3 ? plain_answer(R"({"error":{"message":"queue is full"},"detail":"x"})", 429)
                        : plain_answer("{}");
    });
  });
  PlainHttpOptions plain{.url = *net::parse_url(server.url())};
  const auto workload = PlainHttpWorkload::create(plain);
  const Tally tally = run(options_for(server, 1, 20), **workload);
  EXPECT_EQ(tally.ok, 15u);
  EXPECT_EQ(tally.statuses[429], 5u);
  EXPECT_EQ(tally.faults[static_cast<size_t>(Fault::kStatus)], 5u);
  EXPECT_EQ(first_error(tally), "status 429: 'queue is full'");
  EXPECT_EQ(tally.errors.size(), 5u);
  EXPECT_EQ(tally.messages.at("status 429: 'queue is full'"), 5u);
  EXPECT_EQ(tally.connects, 1u);  // a refusal keeps the connection
}

TEST(EventLoop, SlowAnswersTimeOutAndTheRunGoesOn) {
  ScriptedServer server([](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      if (number_of(request) == "2") return peer.wait_for_close();
      peer.send(plain_answer(number_of(request)));
    }
  });
  auto options = options_for(server, 1, 6);
  options.timeout = from_ms(800);  // of those that are answered none takes so long
  const Tally tally = run(options, NumberedWorkload());
  EXPECT_EQ(tally.ok, 5u);
  EXPECT_EQ(tally.faults[static_cast<size_t>(Fault::kTimeout)], 1u);
  EXPECT_EQ(first_error(tally), "no answer within 0.8 s");
  EXPECT_GE(tally.failed_latency.max_ms(), 800);
}

TEST(EventLoop, AnswerBeforeTheBodyWasSentIsRead) {
  // Refuses at the head and closes while megabytes are still on their way.
  ScriptedServer server([](Peer& peer) {
    peer.send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig");
    peer.wait(milliseconds(400));
  });
  PlainHttpOptions plain{.url = *net::parse_url(server.url())};
  plain.request = {.method = "POST", .body = std::string(8 << 20, 'x')};
  const auto workload = PlainHttpWorkload::create(plain);
  const Tally tally = run(options_for(server, 1, 3), **workload);
  EXPECT_EQ(tally.failed, 3u);
  EXPECT_EQ(tally.statuses[413], 3u) << first_error(tally);
}

TEST(EventLoop, NothingListeningIsAnErrorThatNamesTheAddress) {
  std::string url;
  {
    ScriptedServer server([](Peer&) {});
    url = server.url();
  }
  const auto result = run_load({.url = *net::parse_url(url)}, NumberedWorkload(), nullptr, nullptr);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("Connection refused"), std::string::npos)
      << result.error().message;
}

// The server dies midway: what was measured stays, what was not sent is counted, the run ends.
TEST(EventLoop, GivesUpWhenTheServerIsGone) {
  std::atomic<int> answered{0};
  std::function<void()> stop_listening;
  ScriptedServer server([&](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      if (++answered > 20) {
        if (answered == 21) stop_listening();
        return;
      }
      peer.send(plain_answer(number_of(request)));
    }
  });
  stop_listening = [&] { server.stop_listening(); };
  auto options = options_for(server, 2, 100'000);
  const Tally tally = run(options, NumberedWorkload());
  EXPECT_TRUE(tally.gave_up);
  EXPECT_EQ(tally.ok, 20u);
  EXPECT_GT(tally.connect_failures, 0u);
  EXPECT_EQ(tally.ok + tally.failed + tally.unsent, 100'000u);
}

// A server that goes too shortly before the end for giving up: the run is not whole all the same.
// One that merely closes connections is there until the end.
TEST(EventLoop, AServerThatIsGoneAtTheEndMakesTheRunIncomplete) {
  for (const double rate : {0.0, 400.0}) {
    for (const bool goes : {true, false}) {
      std::atomic<int> answered{0};
      std::function<void()> stop_listening;
      ScriptedServer server([&](Peer& peer) {
        for (std::string request; !(request = peer.read_request()).empty();) {
          const int number = ++answered;
          if (number > 20 && goes) {
            if (number == 21) stop_listening();
            return;
          }
          peer.send(plain_answer(number_of(request)));
          if (number % 10 == 0) return;
          if (!goes) peer.wait(milliseconds(1));
        }
      });
      stop_listening = [&] { server.stop_listening(); };
      auto options = options_for(server, 2, 0);
      options.rate = rate;
      options.duration = from_ms(1000);
      options.give_up_after = from_seconds(100);
      const auto result = run_load(options, NumberedWorkload(), nullptr, nullptr);
      ASSERT_TRUE(result.ok()) << result.error().message;
      EXPECT_EQ(result->tally.gave_up, goes) << rate;
      const Verdict verdict = judge_run(options, *result);
      EXPECT_EQ(verdict.kind == VerdictKind::kIncomplete, goes) << rate << verdict.reason;
      if (goes) {
        EXPECT_EQ(result->tally.ok, 20u) << rate;
        EXPECT_NE(verdict.reason.find("could not be reached any more"), std::string::npos)
            << verdict.reason;
      }
    }
  }
}

TEST(EventLoop, StopEndsTheRunAndKeepsWhatWasMeasured) {
  std::atomic<bool> stop{false};
  ScriptedServer server([&](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      if (std::stoi(number_of(request)) == 30) stop = true;
      peer.send(plain_answer(number_of(request)));
    }
  });
  const Tally tally = run(options_for(server, 1, 1'000'000'000), NumberedWorkload(), &stop);
  EXPECT_TRUE(tally.interrupted);
  EXPECT_GE(tally.ok, 30u);
  EXPECT_EQ(tally.ok + tally.failed + tally.unsent + tally.abandoned, 1'000'000'000u);
}

TEST(EventLoop, DurationEndsSendingAndWaitsForAnswers) {
  ScriptedServer server([](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      peer.wait(milliseconds(30));
      peer.send(plain_answer(number_of(request)));
    }
  });
  auto options = options_for(server, 2, 0);
  options.duration = from_ms(200);
  const Tally tally = run(options, NumberedWorkload());
  EXPECT_EQ(tally.failed, 0u) << first_error(tally);
  EXPECT_EQ(tally.sent, tally.ok);
  EXPECT_EQ(tally.abandoned, 0u);
  EXPECT_LE(tally.ok_in_window, tally.ok);
  EXPECT_NEAR(tally.wall_s(), 0.2, 0.001);
  EXPECT_GE(tally.latency.min_ms(), 30);
}

// An open loop against a server that stalls: every request due during the stall is late from the
// intended send.
TEST(EventLoop, OpenLoopChargesAStallToTheRequestsItDelayed) {
  std::atomic<bool> stalled{false};
  ScriptedServer server([&](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      if (std::stoi(number_of(request)) == 50 && !stalled.exchange(true))
        peer.wait(milliseconds(300));
      peer.send(plain_answer(number_of(request)));
    }
  });
  auto options = options_for(server, 1, 200);
  options.rate = 500;
  const Tally tally = run(options, NumberedWorkload());
  EXPECT_EQ(tally.ok, 200u) << first_error(tally);
  // 300 ms at 500/s: about 150 requests were due meanwhile; from the actual send only one was slow.
  EXPECT_GE(tally.latency.quantile_ms(0.5), 50);
  EXPECT_GE(tally.waited.max_ms(), 250);
  EXPECT_EQ(tally.service.count(), 200u);
  EXPECT_GE(tally.service.max_ms(), 299);
  EXPECT_LT(tally.service.quantile_ms(0.5), tally.latency.quantile_ms(0.5));
}

TEST(EventLoop, OpenLoopCountsWhatWasNeverSent) {
  ScriptedServer server([](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      peer.wait(milliseconds(50));
      peer.send(plain_answer(number_of(request)));
    }
  });
  auto options = options_for(server, 1, 0);
  options.rate = 1000;
  options.duration = from_ms(400);
  const Tally tally = run(options, NumberedWorkload());
  EXPECT_EQ(tally.sent + tally.unsent, 400u);  // due at 0, 1, ... 399 ms
  EXPECT_GT(tally.unsent, 350u);
}

// A stall over the end of the sending time: few of the requests it held up were ever sent, and the
// percentiles of those answered know nothing of it. The others are charged with what they waited.
TEST(EventLoop, OpenLoopKnowsHowLongTheUnsentWaited) {
  ScriptedServer server([](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      if (std::stoi(number_of(request)) == 100) peer.wait(milliseconds(700));
      peer.send(plain_answer(number_of(request)));
    }
  });
  auto options = options_for(server, 1, 0);
  options.rate = 250;
  options.duration = from_ms(800);  // the stall is from about 390 ms to 1.09 s
  options.warmup_requests = 3;      // charged to nobody
  const Tally tally = run(options, NumberedWorkload());
  EXPECT_EQ(tally.sent + tally.unsent, 200u);
  EXPECT_GE(tally.unsent, 102u);  // all after request 100
  ASSERT_EQ(tally.unsent_waited.count(), tally.unsent);
  // They are the last ones of the schedule: due 4, 8, 12 ... ms before the end.
  EXPECT_NEAR(tally.unsent_waited.min_ms(), 4, 1e-3);
  EXPECT_NEAR(tally.unsent_waited.max_ms(), 4.0 * static_cast<double>(tally.unsent), 1e-3);
  const Histogram all = tally.latency_all_due();
  EXPECT_EQ(all.count(), 200u);
  EXPECT_GE(all.quantile_ms(0.95), 350);
  EXPECT_EQ(tally.latency.count(), tally.ok);  // measured ones only
}

// At a rate where requests are due every few microseconds the loop never sleeps, not even while
// every connection is busy; its polls in vain do not count as being busy itself.
TEST(EventLoop, DenseOpenLoopsPollAndSayHowBusyTheyAre) {
  ScriptedServer server([](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      peer.wait(milliseconds(100));
      peer.send(plain_answer(number_of(request)));
    }
  });
  auto options = options_for(server, 2, 0);
  options.duration = from_ms(1000);
  options.rate = 50'000;
  Tally tally = run(options, NumberedWorkload());
  EXPECT_GE(tally.cpu_s + tally.cpu_wait_s, 0.15);  // where the host takes most of the time as well
  EXPECT_LT(tally.cpu_share_max, 0.5);
  options.rate = 20;  // asleep nearly all the time
  tally = run(options, NumberedWorkload());
  EXPECT_LT(tally.cpu_s, 0.15);
}

TEST(EventLoop, ConnectionPerRequest) {
  ScriptedServer server([](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();)
      peer.send(plain_answer(number_of(request)));
  });
  for (const double rate : {0.0, 400.0}) {
    auto options = options_for(server, 2, 30);
    options.keep_alive = false;
    options.rate = rate;
    const int before = server.connections();
    const Tally tally = run(options, NumberedWorkload());
    EXPECT_EQ(tally.ok, 30u) << first_error(tally);
    EXPECT_GE(server.connections() - before, 30) << rate;
  }
}

// A run that is stopped before any connection stands says so.
TEST(EventLoop, StoppedWhileConnecting) {
  ScriptedServer server([](Peer& peer) { peer.wait_for_close(); });
  const auto options = options_for(server, 2, 10);
  const std::atomic<bool> stop{true};
  const auto result = run_load(options, NumberedWorkload(), &stop, nullptr);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("stopped before"), std::string::npos)
      << result.error().message;
}

TEST(EventLoop, HeadAnswersHaveNoBody) {
  ScriptedServer server([](Peer& peer) {
    serve(peer, [](int) { return std::string("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"); });
  });
  PlainHttpOptions plain{.url = *net::parse_url(server.url())};
  plain.request.method = "HEAD";
  const auto workload = PlainHttpWorkload::create(plain);
  const Tally tally = run(options_for(server, 2, 20), **workload);
  EXPECT_EQ(tally.ok, 20u) << first_error(tally);
}

}  // namespace
}  // namespace sis::perf
