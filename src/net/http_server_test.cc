// The server over real sockets on loopback: what clients can do, and how it starts and ends.
#include "net/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <random>
#include <thread>

#include "net/compression.h"
#include "net/decompress_whole.h"
#include "net/raw_client.h"

namespace sis::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::decompress;
using testing::get;
using testing::post;
using testing::RawClient;

// Exchanges the handler left for the test's own thread.
class Parked {
 public:
  void put(std::shared_ptr<Exchange> exchange) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(exchange));
    wake_.notify_all();
  }
  std::shared_ptr<Exchange> take() {
    std::unique_lock lock(mutex_);
    if (!wake_.wait_for(lock, seconds(20), [&] { return !queue_.empty(); })) return nullptr;
    auto exchange = std::move(queue_.front());
    queue_.pop_front();
    return exchange;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Exchange>> queue_;
};

// A flag another thread raises.
class Signal {
 public:
  void raise() {
    const std::lock_guard lock(mutex_);
    ++count_;
    wake_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, seconds(20), [&] { return count_ > 0; });
  }
  int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  int count_ = 0;
};

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() {
    options.address = "127.0.0.1";
    options.port = 0;
  }
  ~HttpServerTest() override {
    if (server) server->stop();
  }
  void start() {
    // "/park..." is left for the test; everything else is answered at once with what was
    // understood.
    auto created = HttpServer::create(options, [this](std::shared_ptr<Exchange> exchange) {
      auto& request = exchange->request();
      if (request.path.starts_with("/park")) return parked.put(std::move(exchange));
      HttpResponse response;
      response.content_type = "text/plain";
      response.body = concat(request.method, " ", request.path, " ", request.body);
      exchange->respond(std::move(response));
    });
    ASSERT_TRUE(created) << created.error().message;
    server = std::move(created).value();
    server->start();
    port = server->port();
  }

  ServerOptions options;
  Parked parked;
  std::unique_ptr<HttpServer> server;
  uint16_t port = 0;
};

TEST_F(HttpServerTest, KeepsConnectionsAndAnswersPipelinesInOrder) {
  start();
  RawClient client(port);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(client.ask(get(concat("/", i))).body, concat("GET /", i, " "));
  std::string batch;
  for (int i = 0; i < 200; ++i) batch += post(concat("/p", i), concat("b", i));
  client.send(batch);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(client.read().body, concat("POST /p", i, " b", i));
  EXPECT_EQ(server->stats().requests, 203);
  EXPECT_EQ(server->stats().connections_open, 1);
}

// Four threads answer a deep pipeline in random order; the client reads it in its own order.
TEST_F(HttpServerTest, OrdersAnswersOfOtherThreads) {
  start();
  RawClient client(port);
  constexpr int kRequests = 400;
  std::vector<std::thread> workers;
  for (int t = 0; t < 4; ++t)
    workers.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < kRequests / 4; ++i) {
        const auto exchange = parked.take();
        ASSERT_TRUE(exchange);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
        const std::string path = exchange->request().path;
        if (random() % 3 == 0) {
          exchange->start_stream({.content_type = "text/plain"});
          for (const char c : path) exchange->write({&c, 1});
          exchange->finish_stream();
        } else {
          exchange->respond({.body = path});
        }
      }
    });
  std::thread sender([&] {
    for (int i = 0; i < kRequests; ++i) client.send(get(concat("/park/", i)));
  });
  for (int i = 0; i < kRequests; ++i) {
    const auto answer = client.read();
    EXPECT_EQ(answer.body, concat("/park/", i));
    EXPECT_TRUE(answer.complete);
  }
  sender.join();
  for (auto& worker : workers) worker.join();
}

TEST_F(HttpServerTest, MovesLargeBodiesBothWays) {
  start();
  RawClient client(port);
  std::string body(20 << 20, 'b');
  for (size_t i = 0; i < body.size(); i += 997) body[i] = static_cast<char>('a' + i % 26);
  std::thread sender([&] { client.send(post("/big", body)); });
  EXPECT_EQ(client.read().body, "POST /big " + body);
  sender.join();
  std::string chunked = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 1000; ++i) chunked += concat("3e8;x=y\r\n", std::string(1000, 'c'), "\r\n");
  chunked += "0\r\n\r\n";
  EXPECT_EQ(client.ask(chunked).body.size(), 1'000'000u + 8u);
}

TEST_F(HttpServerTest, StreamsPieceByPieceWhileTheHandlerWorks) {
  start();
  RawClient client(port);
  client.send(get("/park"));
  const auto exchange = parked.take();
  exchange->start_stream({.content_type = "text/event-stream", .headers = {{"X-A", "b"}}});
  EXPECT_TRUE(exchange->write("data: 1\n\n"));
  while (client.read_some()) {  // the piece is here before the next one exists
    exchange->write("data: 2\n\n");
    exchange->finish_stream();
    break;
  }
  const auto answer = client.read();
  EXPECT_TRUE(answer.has("X-A: b\r\n"));
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.body, "data: 1\n\ndata: 2\n\n");
  EXPECT_EQ(client.ask(get("/after")).status, 200);
}

TEST_F(HttpServerTest, HeadOptionsAndHttp10) {
  start();
  RawClient client(port);
  client.send("HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto head = client.read(true);
  EXPECT_TRUE(head.has("Content-Length: 7\r\n")) << head.head;
  EXPECT_EQ(client.ask("OPTIONS /o HTTP/1.1\r\nHost: h\r\n\r\n").body, "OPTIONS /o ");
  EXPECT_EQ(client
                .ask("OPTIONS /o HTTP/1.1\r\nHost: h\r\nOrigin: http://x\r\n"
                     "Access-Control-Request-Method: POST\r\n\r\n")
                .status,
            204);
  EXPECT_EQ(client.ask("GET /old HTTP/1.0\r\n\r\n").body, "GET /old ");
  EXPECT_TRUE(client.at_end());
}

TEST_F(HttpServerTest, WaitsForLeaveToSendABody) {
  start();
  RawClient client(port);
  client.send("POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(client.read_some());
  client.send("body");
  EXPECT_EQ(client.read().body, "POST /e body");
  EXPECT_EQ(client.interim(), 1);
}

// A client that leaves while its request is worked on is noticed, by FIN as by RST.
TEST_F(HttpServerTest, NoticesADisconnectWhileTheHandlerWorks) {
  start();
  for (const bool reset : {false, true}) {
    RawClient client(port);
    client.send(get("/park"));
    const auto exchange = parked.take();
    ASSERT_TRUE(exchange);
    Signal gone;
    exchange->on_cancel([&] { gone.raise(); });
    EXPECT_FALSE(exchange->cancelled());
    const auto left = std::chrono::steady_clock::now();
    if (reset)
      client.reset();
    else
      client.close();
    ASSERT_TRUE(gone.wait());
    std::printf("disconnect by %s noticed after %.2f ms\n", reset ? "RST" : "FIN",
                to_ms(std::chrono::steady_clock::now() - left));
    EXPECT_TRUE(exchange->cancelled());
    exchange->respond({.body = "nobody reads this"});
  }
}

TEST_F(HttpServerTest, NoticesADisconnectInsideAStreamAndInAPipeline) {
  start();
  Signal gone, second_gone;
  RawClient client(port);
  client.send(get("/park/1") + get("/park/2"));
  const auto first = parked.take(), second = parked.take();
  first->start_stream({});
  first->write("x");
  first->on_cancel([&] { gone.raise(); });
  second->on_cancel([&] { second_gone.raise(); });
  ASSERT_TRUE(client.read_some());
  client.close();
  ASSERT_TRUE(gone.wait());
  ASSERT_TRUE(second_gone.wait());
  EXPECT_FALSE(first->write("y"));
  Signal late;
  second->on_cancel([&] { late.raise(); });
  EXPECT_TRUE(late.wait());
}

// Too much is pipelined to read on: the reset must be seen all the same.
TEST_F(HttpServerTest, NoticesAResetWhileReadingIsPaused) {
  start();
  RawClient client(port);
  std::string batch;
  for (int i = 0; i < 3000; ++i)
    batch += get("/park", "X-Filler: 0123456789012345678901234567890\r\n");
  client.send(batch);
  std::vector<std::shared_ptr<Exchange>> taken;
  Signal gone;
  for (int i = 0; i < 64; ++i) {
    taken.push_back(parked.take());
    ASSERT_TRUE(taken.back());
  }
  std::this_thread::sleep_for(milliseconds(50));
  taken[0]->on_cancel([&] { gone.raise(); });
  client.reset();
  EXPECT_TRUE(gone.wait());
}

// Half-closed is not gone: the answer still arrives.
TEST_F(HttpServerTest, AnswersAClientThatOnlyStoppedSending) {
  start();
  RawClient client(port);
  client.send(get("/now"));
  client.shut_sending();
  EXPECT_EQ(client.read().body, "GET /now ");
  EXPECT_TRUE(client.at_end());

  RawClient slow(port);
  slow.send(get("/park"));
  slow.shut_sending();
  const auto exchange = parked.take();
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_FALSE(exchange->cancelled());
  exchange->respond({.body = "late"});
  const auto answer = slow.read();
  EXPECT_EQ(answer.body, "late");
  EXPECT_TRUE(answer.has("Connection: close"));
  EXPECT_TRUE(slow.at_end());
}

TEST_F(HttpServerTest, TheCancelCallbackIsDroppedWithTheAnswer) {
  start();
  RawClient client(port);
  client.send(get("/park"));
  const auto exchange = parked.take();
  const auto guard = std::make_shared<int>(0);
  exchange->on_cancel([guard] { ADD_FAILURE() << "answered requests are not cancelled"; });
  exchange->respond({});
  EXPECT_EQ(guard.use_count(), 1);
  EXPECT_EQ(client.read().status, 200);
}

// A call from another thread runs on the I/O thread; a throw there is this request's 500 and
// nothing more.
TEST_F(HttpServerTest, GoesOnOnTheLoop) {
  start();
  RawClient client(port);
  std::atomic<std::thread::id> first{}, second{};
  for (auto* seen : {&first, &second}) {
    client.send(get("/park"));
    auto exchange = parked.take();
    ASSERT_NE(exchange, nullptr);
    auto* const plain = exchange.get();
    plain->run_on_loop([exchange = std::move(exchange), seen] {
      *seen = std::this_thread::get_id();
      exchange->run_on_loop([exchange] { exchange->respond({.body = "there"}); });
    });
    EXPECT_EQ(client.read().body, "there");
  }
  EXPECT_EQ(first.load(), second.load());
  EXPECT_NE(first.load(), std::this_thread::get_id());

  client.send(get("/park"));
  auto exchange = parked.take();
  ASSERT_NE(exchange, nullptr);
  auto* const plain = exchange.get();
  plain->run_on_loop([exchange = std::move(exchange)] { throw std::runtime_error("broken"); });
  EXPECT_EQ(client.read().status, 500);
  client.send(get("/after"));
  EXPECT_EQ(client.read().status, 200);
}

TEST_F(HttpServerTest, ExchangesMayOutliveTheServer) {
  start();
  RawClient client(port);
  client.send(get("/park/1") + get("/park/2"));
  const auto first = parked.take();
  auto second = parked.take();
  Signal gone;
  first->on_cancel([&] { gone.raise(); });
  server->stop();
  EXPECT_TRUE(gone.wait());
  server.reset();
  first->respond({});
  second.reset();
  Signal late;
  first->on_cancel([&] { late.raise(); });  // answered: nothing to cancel
  EXPECT_EQ(late.count(), 0);
}

TEST_F(HttpServerTest, DrainsWhatRunsAndClosesWhatIdles) {
  // One loop learns of the drain in one go; a second one might answer before it does.
  options.io_threads = 1;
  start();
  RawClient idle(port), busy(port);
  EXPECT_EQ(idle.ask(get("/")).status, 200);
  busy.send(get("/park"));
  auto exchange = parked.take();
  std::thread answerer([&] {
    EXPECT_TRUE(idle.at_end());  // closed while the other still runs
    RawClient late(port);
    EXPECT_TRUE(!late.connected() || late.at_end());
    exchange->respond({.body = "done"});
    exchange.reset();
  });
  EXPECT_TRUE(server->drain(seconds(20)));
  answerer.join();
  const auto answer = busy.read();
  EXPECT_EQ(answer.body, "done");
  EXPECT_TRUE(answer.has("Connection: close"));
  EXPECT_TRUE(busy.at_end());
}

TEST_F(HttpServerTest, ADrainOverBudgetIsCutByStop) {
  start();
  RawClient client(port);
  client.send(get("/park"));
  const auto exchange = parked.take();
  Signal gone;
  exchange->on_cancel([&] { gone.raise(); });
  EXPECT_FALSE(server->drain(milliseconds(20)));
  server->stop();
  EXPECT_EQ(gone.count(), 1);
  EXPECT_TRUE(client.at_end());
  server->stop();  // twice is fine
}

TEST_F(HttpServerTest, CompressesForRealClients) {
  start();
  RawClient client(port);
  client.send(get("/park", "Accept-Encoding: gzip, br;q=0.5\r\n"));
  const std::string body(100'000, 'c');
  parked.take()->respond({.body = body});
  const auto answer = client.read();
  EXPECT_TRUE(answer.has("Content-Encoding: gzip\r\n"));
  EXPECT_EQ(decompress(Coding::kGzip, answer.body, 1 << 20).value(), body);
  const auto packed = compress(Coding::kZstd, body).value();
  EXPECT_EQ(client.ask(post("/z", packed, "Content-Encoding: zstd\r\n")).body, "POST /z " + body);
}

TEST_F(HttpServerTest, StartsOnlyWithWhatItCanServe) {
  const auto refused = [](ServerOptions wrong) {
    const auto server = HttpServer::create(std::move(wrong), [](std::shared_ptr<Exchange>) {});
    return server ? std::string() : server.error().message;
  };
  start();
  ServerOptions taken = options;
  taken.port = port;
  EXPECT_NE(refused(taken).find(concat("127.0.0.1 port ", port)), std::string::npos)
      << refused(taken);
  ServerOptions nowhere = options;
  nowhere.address = "not an address";
  EXPECT_NE(refused(nowhere).find("not an address"), std::string::npos);
  ServerOptions half_tls = options;
  half_tls.tls_certificate_file = "cert.pem";
  EXPECT_NE(refused(half_tls).find("key file"), std::string::npos);
  half_tls.tls_key_file = "key.pem";
  EXPECT_NE(refused(half_tls).find("cert.pem"), std::string::npos);
  ServerOptions no_threads = options;
  no_threads.io_threads = 0;
  EXPECT_NE(refused(no_threads).find("io_threads"), std::string::npos);
}

TEST_F(HttpServerTest, QueuesConnectionsUntilStarted) {
  auto created = HttpServer::create(options, [](std::shared_ptr<Exchange> exchange) {
    exchange->respond({.body = exchange->request().peer});
  });
  ASSERT_TRUE(created);
  RawClient client((*created)->port());
  client.send(get("/"));
  (*created)->start();
  EXPECT_EQ(client.read().body, "127.0.0.1");
  // One that never starts also ends.
  EXPECT_TRUE(HttpServer::create(options, [](std::shared_ptr<Exchange>) {}));
}

}  // namespace
}  // namespace sis::net
