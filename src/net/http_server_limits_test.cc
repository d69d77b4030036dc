// Clients that are slow, greedy or hostile, over real sockets.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "base/rng.h"
#include "net/compression.h"
#include "net/http_server.h"
#include "net/raw_client.h"

namespace sis::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::get;
using testing::post;
using testing::RawClient;

class HttpServerLimitsTest : public ::testing::Test {
 protected:
  HttpServerLimitsTest() {
    options.address = "127.0.0.1";
    options.port = 0;
  }
  ~HttpServerLimitsTest() override {
    if (flooder.joinable()) flooder.join();
    if (server) server->stop();
  }
  void start() {
    auto created = HttpServer::create(options, [this](std::shared_ptr<Exchange> exchange) {
      if (exchange->request().path == "/flood") {
        exchange->start_stream({.content_type = "text/plain"});
        exchange->on_cancel([this] { ++cancelled; });
        flooder = std::thread([this, exchange] {
          const std::string piece(64 << 10, 'f');
          while (exchange->write(piece)) ++pieces;
          for (int i = 0; i < 2000 && !exchange->cancelled(); ++i)
            std::this_thread::sleep_for(milliseconds(10));
          flood_over.set_value();
        });
        return;
      }
      if (exchange->request().path == "/large")
        return exchange->respond(
            {.content_type = "text/plain", .body = std::string(32 << 20, 'l')});
      exchange->respond({.body = "ok"});
    });
    ASSERT_TRUE(created) << created.error().message;
    server = std::move(created).value();
    server->start();
    port = server->port();
  }
  // Waits until the server has let go of every connection.
  bool all_closed() {
    for (int i = 0; i < 2000 && server->stats().connections_open > 0; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    return server->stats().connections_open == 0;
  }

  ServerOptions options;
  std::atomic<int> cancelled{0}, pieces{0};
  std::thread flooder;
  std::promise<void> flood_over;
  std::unique_ptr<HttpServer> server;
  uint16_t port = 0;
};

TEST_F(HttpServerLimitsTest, ClosesIdleConnectionsWithoutAWord) {
  options.idle_timeout = milliseconds(500);  // long enough to ask within, on any machine
  start();
  RawClient fresh(port), used(port);
  EXPECT_EQ(used.ask(get("/")).status, 200);
  EXPECT_TRUE(fresh.at_end());
  EXPECT_TRUE(used.at_end());
  EXPECT_TRUE(all_closed());
}

TEST_F(HttpServerLimitsTest, SlowHeadersGet408) {
  options.header_timeout = milliseconds(150);
  start();
  RawClient client(port);
  client.send("GET / HTTP/1.1\r\n");
  std::thread drip([&] {
    for (int i = 0; i < 100 && client.send("A: b\r\n"); ++i)
      std::this_thread::sleep_for(milliseconds(10));
  });
  const auto answer = client.read();
  drip.join();
  EXPECT_EQ(answer.status, 408);
  EXPECT_TRUE(answer.has("X-Request-ID: "));
  EXPECT_TRUE(answer.has("Connection: close"));
}

TEST_F(HttpServerLimitsTest, SilentAndDrippingBodiesGet408) {
  options.body_gap_timeout = milliseconds(150);
  options.body_bytes_per_second_min = 10'000;
  start();
  RawClient silent(port);
  EXPECT_EQ(silent.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc").status, 408);
  RawClient dripping(port);
  dripping.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
  std::thread drip([&] {
    for (int i = 0; i < 200 && dripping.send("x"); ++i)
      std::this_thread::sleep_for(milliseconds(10));
  });
  EXPECT_EQ(dripping.read().status, 408);
  drip.join();
}

TEST_F(HttpServerLimitsTest, AReaderThatStopsIsDropped) {
  options.write_timeout = milliseconds(150);
  start();
  RawClient client(port, 4096);
  client.send(get("/large"));
  ASSERT_TRUE(client.read_some());  // so far the answer came
  EXPECT_TRUE(all_closed());
}

TEST_F(HttpServerLimitsTest, ASlowStreamReaderIsCutAtTheBufferBound) {
  options.stream_buffer_bytes = 256 << 10;
  start();
  RawClient client(port, 4096);
  client.send(get("/flood"));
  ASSERT_EQ(flood_over.get_future().wait_for(seconds(60)), std::future_status::ready);
  EXPECT_TRUE(all_closed());
  EXPECT_EQ(cancelled, 1);
  // The kernel's buffers take some megabytes, the server's own at most its bound and one piece.
  EXPECT_LT(pieces, 1000);
  EXPECT_FALSE(client.read().complete);
}

TEST_F(HttpServerLimitsTest, LargeAnswersReachSlowReaders) {
  start();
  RawClient client(port, 8192);
  const auto answer = client.ask(get("/large"));
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.body.size(), 32u << 20);
}

TEST_F(HttpServerLimitsTest, RefusalsReachClientsThatAreStillSending) {
  options.body_bytes_max = 1 << 20;
  start();
  RawClient client(port);
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8388608\r\n\r\n");
  const bool sent = client.send(std::string(8 << 20, 'x'));
  EXPECT_TRUE(sent);
  EXPECT_EQ(client.read().status, 413);
  EXPECT_TRUE(client.at_end());
  RawClient chunked(port);
  chunked.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) chunked.send(concat("20000\r\n", std::string(0x20000, 'y'), "\r\n"));
  EXPECT_EQ(chunked.read().status, 413);
  RawClient bomb(port);
  EXPECT_EQ(bomb.ask(post("/", compress(Coding::kBrotli, std::string(8 << 20, 'b')).value(),
                          "Content-Encoding: br\r\n"))
                .status,
            413);
}

TEST_F(HttpServerLimitsTest, ConnectionsOverTheLimitGet503) {
  options.connections_max = 3;
  options.io_threads = 1;
  start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(port);
    EXPECT_EQ(clients.back().ask(get("/")).status, 200);
  }
  RawClient over(port);
  const auto answer = over.ask(get("/"));
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.has("X-Request-ID: "));
  EXPECT_TRUE(over.at_end());
  clients.pop_back();
  for (int i = 0; i < 1000 && server->stats().connections_open > 2; ++i)
    std::this_thread::sleep_for(milliseconds(5));
  RawClient next(port);
  EXPECT_EQ(next.ask(get("/")).status, 200);
}

// Whatever arrives, the server answers with an error or closes, and serves the next client.
TEST_F(HttpServerLimitsTest, HostileBytesNeverHarmOthers) {
  options.header_timeout = milliseconds(200);
  options.idle_timeout = milliseconds(200);
  options.body_gap_timeout = milliseconds(200);
  start();
  const std::string cases[] = {
      std::string(200'000, '\0'),
      std::string(200'000, 'A'),
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
      "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: "
      "chunked\r\n\r\n0\r\n\r\nGET /smuggled",
      "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "GET / HTTP/1.1\nHost: h\n\n",
      "\r\n\r\n\r\n\r\n\r\n\r\n",
      concat("GET / HTTP/1.1\r\n", std::string(100'000, 'h'), ": x\r\n\r\n"),
      concat("GET /", std::string(100'000, '%'), " HTTP/1.1\r\n\r\n"),
      "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\n",
  };
  for (const auto& bytes : cases) {
    RawClient client(port);
    client.send(bytes);
    client.shut_sending();
    const std::string text = client.read_to_end();
    EXPECT_TRUE(text.empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 5"))
        << bytes.substr(0, 60) << " -> " << text;
    EXPECT_EQ(text.find("200 OK"), text.npos) << bytes.substr(0, 60);
  }
  Rng rng{5};
  std::printf("seed 5\n");
  for (int round = 0; round < 200; ++round) {
    std::string bytes = post("/r", "0123456789", "Transfer-Encoding: chunked\r\n");
    for (int flips = 0; flips < 3; ++flips)
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    RawClient client(port);
    client.send(bytes.substr(0, rng.below(bytes.size()) + 1));
    if (rng.below(2)) client.reset();
  }
  RawClient next(port);
  EXPECT_EQ(next.ask(get("/")).status, 200);
  next.close();
  EXPECT_TRUE(all_closed());
}

}  // namespace
}  // namespace sis::net
