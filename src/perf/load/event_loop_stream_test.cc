// Streamed answers through the event loop, over real loopback sockets. Times only bound waits from
// below.
#include <gtest/gtest.h>

#include <atomic>

#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/load/chat.h"
#include "perf/load/chat_test_events.h"
#include "perf/load/run.h"

namespace sis::perf {
namespace {

using net::ScriptedServer;
using Peer = net::ScriptedServer::Peer;
using std::chrono::microseconds;
using std::chrono::milliseconds;

Tally run(const ScriptedServer& server, RunOptions options) {
  options.url = *net::parse_url(server.url());
  options.timeout = from_seconds(20);
  options.give_up_after = from_ms(300);
  options.errors_max = 100;
  const auto workload = ChatWorkload::create({.url = options.url, .model = "m"});
  auto result = run_load(options, **workload, nullptr, nullptr);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? std::move(result->tally) : Tally();
}

std::string first_error(const Tally& tally) {
  return tally.errors.empty() ? "" : tally.errors.front().message;
}

std::string next_id() {
  static std::atomic<int> number{0};
  return concat("chat-", ++number);
}

TEST(EventLoopStream, FirstTokenAndGapsOfEveryAnswer) {
  ScriptedServer server([](Peer& peer) {
    while (!peer.read_request().empty()) {
      const std::string id = next_id();
      peer.send(kStreamHead);
      peer.send(http_chunk(role_event(id)));
      peer.wait(milliseconds(30));
      for (int i = 0; i < 5; ++i) {
        if (i > 0) peer.wait(milliseconds(10));
        peer.send(http_chunk(text_event(id, "x")));
      }
      peer.send(http_chunk(finish_event(id) + usage_event(id, 7, 9, 2)));
      peer.send(http_chunk(kDoneEvent) + http_chunk(""));
    }
  });
  const Tally tally = run(server, {.connections = 3, .threads = 2, .requests = 12});
  EXPECT_EQ(tally.ok, 12u) << first_error(tally);
  EXPECT_EQ(tally.connects, 3u);
  EXPECT_EQ(tally.prompt_tokens, 84u);
  const GenerationTally& generation = tally.generation;
  EXPECT_EQ(generation.answers, 12u);
  EXPECT_EQ(generation.output_tokens, 108u);
  EXPECT_EQ(generation.cached_tokens, 24u);
  EXPECT_EQ(generation.ttft.count(), 12u);
  EXPECT_EQ(generation.itl.count(), 48u);
  EXPECT_EQ(generation.tpot.count(), 12u);
  EXPECT_GE(generation.ttft.min_ms(), 30);
  EXPECT_GE(generation.itl.max_ms(), 10);
  EXPECT_GE(tally.latency.min_ms(), 70);
  // The first token and all gaps are within the latency.
  EXPECT_LE(generation.ttft.mean_ms() + 4 * generation.itl.mean_ms(),
            tally.latency.mean_ms() + 1e-6);
}

// Events cut anywhere by packets and by HTTP chunks, on several connections at once.
TEST(EventLoopStream, FragmentsArePutTogether) {
  ScriptedServer server([](Peer& peer) {
    while (!peer.read_request().empty()) {
      const std::string stream = good_stream(next_id(), 4);
      std::string chunked(kStreamHead);
      for (size_t i = 0; i < stream.size(); i += 37)
        chunked += http_chunk(std::string_view(stream).substr(i, 37));
      peer.send_slowly(chunked + http_chunk(""), 29, microseconds(20));
    }
  });
  const Tally tally = run(server, {.connections = 4, .requests = 20});
  EXPECT_EQ(tally.ok, 20u) << first_error(tally);
  EXPECT_EQ(tally.generation.itl.count(), 60u);
  EXPECT_EQ(tally.generation.output_tokens, 160u);
}

TEST(EventLoopStream, PipelinedStreamsComeOneAfterTheOther) {
  ScriptedServer server([](Peer& peer) {
    std::string burst;  // several answers in one read
    for (int waiting = 0; !peer.read_request().empty();) {
      burst += concat(kStreamHead, http_chunk(good_stream(next_id(), 2)), http_chunk(""));
      if (++waiting % 4 != 0) continue;
      peer.send(burst);
      burst.clear();
    }
  });
  const Tally tally = run(server, {.connections = 1, .pipeline = 4, .requests = 40});
  EXPECT_EQ(tally.ok, 40u) << first_error(tally);
  EXPECT_EQ(tally.generation.itl.count(), 40u);
}

TEST(EventLoopStream, ABodyUntilCloseEndsTheStream) {
  ScriptedServer server([](Peer& peer) {
    if (peer.read_request().empty()) return;
    const std::string stream = good_stream(next_id(), 3);
    // Every third answer is cut off in the middle: only the missing [DONE] tells.
    const bool whole = peer.number % 3 != 2;
    peer.send(concat("HTTP/1.1 200 OK\r\n\r\n", std::string_view(stream).substr(
                                                    0, whole ? stream.size() : stream.size() / 2)));
  });
  const Tally tally = run(server, {.connections = 1, .requests = 9});
  EXPECT_EQ(tally.ok, 6u) << first_error(tally);
  EXPECT_EQ(tally.faults[static_cast<size_t>(Fault::kBody)], 3u);
  EXPECT_TRUE(first_error(tally).starts_with("stream ended without [DONE] after"))
      << first_error(tally);
}

// An error event fails its request at once, although the server keeps the connection open, and
// leaves no trace in the times.
TEST(EventLoopStream, AnErrorEventFailsTheRequest) {
  std::atomic<int> served{0};
  ScriptedServer server([&](Peer& peer) {
    while (!peer.read_request().empty()) {
      const std::string id = next_id();
      if (++served % 2 == 1) {
        peer.send(concat(kStreamHead, http_chunk(good_stream(id, 3)), http_chunk("")));
        continue;
      }
      peer.send(concat(kStreamHead, http_chunk(role_event(id) + text_event(id, "x")),
                       http_chunk("data: {\"error\":{\"message\":\"out of memory\"}}\n\n")));
      peer.wait_for_close();
    }
  });
  const Tally tally = run(server, {.connections = 1, .requests = 10});
  EXPECT_EQ(tally.ok, 5u);
  EXPECT_EQ(tally.failed, 5u);
  EXPECT_EQ(tally.faults[static_cast<size_t>(Fault::kBody)], 5u);
  EXPECT_EQ(tally.messages.at("error event: 'out of memory'"), 5u) << first_error(tally);
  EXPECT_EQ(tally.statuses[200], 10u);
  EXPECT_EQ(tally.generation.ttft.count(), 5u);
  EXPECT_EQ(tally.resent, 0u);
}

TEST(EventLoopStream, ALostConnectionFailsTheRequestInFlight) {
  ScriptedServer server([](Peer& peer) {
    if (peer.read_request().empty()) return;
    peer.send(concat(kStreamHead, http_chunk(role_event("a") + text_event("a", "x"))));
  });
  const Tally tally = run(server, {.connections = 2, .requests = 6});
  EXPECT_EQ(tally.failed, 6u);
  EXPECT_EQ(tally.faults[static_cast<size_t>(Fault::kClosed)], 6u);
  EXPECT_TRUE(first_error(tally).starts_with("connection closed inside a chunked body after"))
      << first_error(tally);
}

// A refusal is an ordinary answer: judged whole, the connection kept.
TEST(EventLoopStream, RefusalsComeWhole) {
  ScriptedServer server([](Peer& peer) {
    for (int i = 0; !peer.read_request().empty(); ++i) {
      if (i % 2 == 0)
        peer.send_slowly(net::plain_answer(R"({"error":{"message":"queue is full"}})", 429), 40,
                         microseconds(20));
      else
        peer.send(concat(kStreamHead, http_chunk(good_stream(next_id(), 2)), http_chunk("")));
    }
  });
  const Tally tally = run(server, {.connections = 1, .requests = 10});
  EXPECT_EQ(tally.ok, 5u);
  EXPECT_EQ(tally.statuses[429], 5u);
  EXPECT_EQ(tally.messages.at("status 429: 'queue is full'"), 5u) << first_error(tally);
  EXPECT_EQ(tally.connects, 1u);
}

// One connection, 100 requests/s due, 40 ms each: the tenth was due after 90 ms and goes out after
// 360 ms. Its first token is charged with the wait.
TEST(EventLoopStream, OpenLoopCountsTheFirstTokenFromTheIntendedSend) {
  ScriptedServer server([](Peer& peer) {
    while (!peer.read_request().empty()) {
      peer.wait(milliseconds(40));
      peer.send(concat(kStreamHead, http_chunk(good_stream(next_id(), 2)), http_chunk("")));
    }
  });
  const Tally tally =
      run(server, {.connections = 1, .rate = 100, .requests = 10, .slo = {.ttft = from_ms(41)}});
  EXPECT_EQ(tally.ok, 10u) << first_error(tally);
  EXPECT_GE(tally.generation.ttft.max_ms(), 300);
  EXPECT_LT(tally.generation.slo_met, 3u);  // only the first can be in time
}

}  // namespace
}  // namespace sis::perf
