// The protocol of one connection without a socket: what is taken, what is refused, and when.
#include <algorithm>

#include "net/compression.h"
#include "net/http_session_fixture.h"
#include "net/in_buffer.h"

namespace sis::net {
namespace {

using std::chrono::seconds;
using testing::HttpSessionTest;

// Answers of other threads may use up the input while a read waits for more of it.
TEST(InBuffer, AReadUnderWayKeepsItsPlace) {
  InBuffer in;
  const auto put = [&](std::span<char> space, std::string_view text) {
    ASSERT_GE(space.size(), text.size());
    std::copy(text.begin(), text.end(), space.begin());
    in.filled(text.size());
  };
  put(in.space(), "one");
  auto begun = in.space();
  in.consume(3);
  put(begun, "two");
  EXPECT_EQ(in.view(), "two");
  begun = in.space();
  in.clear();
  put(begun, "three");
  EXPECT_EQ(in.view(), "three");
}

TEST_F(HttpSessionTest, AnswersARequestThatArrivesByteByByte) {
  const std::string text = post("hello", "X-Request-ID: my-id\r\n");
  for (const char c : text) feed({&c, 1});
  ASSERT_EQ(waiting.size(), 1u);
  auto exchange = take();
  EXPECT_EQ(exchange->request().body, "hello");
  EXPECT_GE(exchange->request().body.capacity(), 5u + 64u);
  EXPECT_EQ(exchange->request().peer, "10.0.0.1");
  exchange->respond({.body = "{}"});
  const std::string answer = out();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\nDate: ")) << answer;
  EXPECT_NE(answer.find("Server: sis\r\n"), answer.npos);
  EXPECT_NE(answer.find("X-Request-ID: my-id\r\n"), answer.npos);
  EXPECT_NE(answer.find("Content-Length: 2\r\n"), answer.npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n{}"));
  EXPECT_FALSE(session->closing());
}

TEST_F(HttpSessionTest, MakesAnIdWhenTheClientsIsUnfit) {
  for (const std::string& id :
       {std::string("a b"), std::string(129, 'x'), std::string("\xC3\xA4")}) {
    feed(get("/", concat("X-Request-ID: ", id, "\r\n")));
    const std::string made = waiting.front()->request().request_id;
    EXPECT_EQ(made.size(), 32u);
    EXPECT_EQ(made.find_first_not_of("0123456789abcdef"), made.npos);
    take()->respond({});
    EXPECT_NE(out().find(concat("X-Request-ID: ", made, "\r\n")), std::string::npos);
  }
}

// Answers given in any order leave in the order of the requests.
// A stream, an answer and a refusal behind an unanswered request all wait for it.
TEST_F(HttpSessionTest, ReadsChunkedAndCodedBodies) {
  feed(
      "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(take()->request().body, "abcde");
  out();
  const std::string text(100'000, 'z');
  for (const Coding coding : {Coding::kGzip, Coding::kDeflate, Coding::kZstd, Coding::kBrotli}) {
    feed(post(compress(coding, text).value(),
              concat("Content-Encoding: ", coding_name(coding), "\r\n")));
    ASSERT_EQ(waiting.size(), 1u);
    EXPECT_GE(waiting.front()->request().body.capacity(), text.size() + 64);
    EXPECT_EQ(take()->request().body, text);
    out();
  }
}

TEST_F(HttpSessionTest, RefusesBadBodies) {
  options.body_bytes_max = 10'000;
  struct Case {
    std::string text;
    int status;
  };
  const std::string bomb = compress(Coding::kGzip, std::string(1 << 20, 'a')).value();
  ASSERT_LT(bomb.size(), 10'000u);
  const Case cases[] = {
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10001\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10001\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n", 417},
      {concat("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2711\r\n",
              std::string(10001, 'x')),
       413},
      {post(bomb, "Content-Encoding: gzip\r\n"), 413},
      {post("not gzip at all", "Content-Encoding: gzip\r\n"), 400},
      {post(bomb.substr(0, 20), "Content-Encoding: gzip\r\n"), 400},
      {post("x", "Content-Encoding: lzma\r\n"), 415},
      {post("x", "Content-Encoding: gzip, gzip\r\n"), 415},
      {post("x", "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"), 415},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n", 400},
      {"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {concat("GET / HTTP/1.1\r\nHost: h\r\nA: ", std::string(70'000, 'b'), "\r\n\r\n"), 431},
      {concat("GET /", std::string(70'000, 'b')), 431},
      {"GET / HTTP/2.0\r\n\r\n", 505},
      {"\x16\x03\x01\x02", 400},
  };
  for (const auto& c : cases) {
    shut();
    feed(c.text);
    const std::string text = out();
    EXPECT_TRUE(text.starts_with(concat("HTTP/1.1 ", c.status, " ")))
        << c.text.substr(0, 80) << "\n"
        << text;
    EXPECT_NE(text.find("X-Request-ID: "), text.npos);
    EXPECT_NE(text.find("Connection: close\r\n"), text.npos);
    EXPECT_TRUE(session->closing());
    EXPECT_TRUE(waiting.empty());
    EXPECT_EQ(c.status == 415, text.find("Accept-Encoding: gzip, deflate, zstd, br") != text.npos);
  }
}

TEST_F(HttpSessionTest, ErrorsAreRenderedAndCarryTheClientsId) {
  options.render_error = [](int status, const std::string& message, const std::string& path) {
    return HttpResponse{.status = status,
                        .body = concat("<", status, " ", path, " ", message, ">")};
  };
  feed("POST /v1/x HTTP/1.1\r\nHost: h\r\nX-Request-ID: mine\r\nExpect: magic\r\n\r\n");
  const std::string text = out();
  EXPECT_NE(text.find("X-Request-ID: mine\r\n"), text.npos);
  EXPECT_NE(text.find("<417 /v1/x Expect: want 100-continue"), text.npos) << text;
}

TEST_F(HttpSessionTest, SendsContinueInItsTurn) {
  const std::string head =
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
  feed(head);
  EXPECT_EQ(out(), "HTTP/1.1 100 Continue\r\n\r\n");
  feed("ab" + head);
  EXPECT_EQ(out(), "");  // the first request is not answered yet
  take()->respond({.body = "one"});
  const std::string text = out();
  EXPECT_LT(text.find("one"), text.find("HTTP/1.1 100 Continue"));
  feed("cd" + head + "ef");  // who sends the body at once needs no leave
  EXPECT_EQ(out().find("100"), std::string::npos);
  EXPECT_EQ(waiting.size(), 2u);
}

TEST_F(HttpSessionTest, TellsBrowsersWhatTheyMayRead) {
  const std::string preflight =
      "OPTIONS /v1 HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\n"
      "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-a, x-b\r\n\r\n";
  feed(preflight);
  std::string text = out();
  EXPECT_TRUE(text.starts_with("HTTP/1.1 204 No Content\r\n")) << text;
  EXPECT_NE(text.find("Access-Control-Allow-Origin: *\r\n"), text.npos);
  EXPECT_NE(text.find("Access-Control-Allow-Methods: GET, HEAD, POST"), text.npos);
  EXPECT_NE(text.find("Access-Control-Allow-Headers: x-a, x-b\r\n"), text.npos);
  EXPECT_EQ(text.find("Content-Length"), text.npos);
  feed(get("/", "Origin: https://a.example\r\n"));
  take()->respond({});
  text = out();
  EXPECT_NE(text.find("Access-Control-Allow-Origin: *\r\n"), text.npos);
  EXPECT_NE(text.find("Access-Control-Expose-Headers: X-Request-ID\r\n"), text.npos);
  feed(get("/"));  // no browser asks without saying from where
  take()->respond({});
  EXPECT_EQ(out().find("Access-Control-Expose-Headers"), std::string::npos);
  feed("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(out().find("Allow: GET"), std::string::npos);

  options.cors_origins = {"https://a.example"};
  options.cors_exposed = "X-Request-ID, Retry-After";
  open();
  feed(get("/", "Origin: https://a.example\r\n") + get("/", "Origin: https://evil.example\r\n"));
  take()->respond({});
  text = out();
  EXPECT_NE(text.find("Access-Control-Allow-Origin: https://a.example\r\n"), text.npos);
  EXPECT_NE(text.find("Vary: Origin\r\n"), text.npos);
  EXPECT_NE(text.find("Access-Control-Expose-Headers: X-Request-ID, Retry-After\r\n"), text.npos);
  take()->respond({});
  EXPECT_EQ(out().find("Access-Control"), std::string::npos);

  options.cors_origins = {};
  open();
  feed(preflight);
  EXPECT_EQ(waiting.size(), 1u);  // without CORS an OPTIONS is the handler's
}

TEST_F(HttpSessionTest, DeadlinesFollowTheState) {
  options.header_timeout = seconds(15);
  options.idle_timeout = seconds(75);
  options.body_gap_timeout = seconds(10);
  options.body_bytes_per_second_min = 100;
  open();
  EXPECT_EQ(session->deadline(), now + seconds(75));
  EXPECT_FALSE(session->expire(now + seconds(75)));
  EXPECT_EQ(out(), "");  // an idle connection is closed without a word

  feed("GET / HT");
  const TimePoint started = now;
  EXPECT_EQ(session->deadline(), started + seconds(15));
  advance(seconds(5));
  feed("TP/1.1\r\nHost");  // more bytes do not buy more time
  EXPECT_EQ(session->deadline(), started + seconds(15));
  feed(": h\r\n\r\n");
  EXPECT_EQ(session->deadline(), TimePoint::max());  // the handler's time is not ours
  take()->respond({});
  out();
  EXPECT_EQ(session->deadline(), now + seconds(75));

  feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n");
  const TimePoint body_started = now;
  for (int i = 0; i < 4; ++i) {
    advance(seconds(4));
    feed("0123456789");
  }
  EXPECT_EQ(session->deadline(), body_started + seconds(10)) << "too slow on average";
  EXPECT_TRUE(session->expire(now));
  const std::string text = out();
  EXPECT_TRUE(text.starts_with("HTTP/1.1 408")) << text;
  EXPECT_TRUE(session->closing());
}

// However much was sent at once earns no more than body_timeout for the rest.
TEST_F(HttpSessionTest, ALargeBodyEarnsNoHours) {
  options.body_gap_timeout = seconds(15);
  options.body_timeout = seconds(60);
  open();
  const TimePoint started = now;
  feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n" +
       std::string(3'000'000, 'x'));
  for (int i = 0; i < 5; ++i) {
    advance(seconds(10));
    feed("y");
  }
  EXPECT_EQ(session->deadline(), started + seconds(60));
  advance(seconds(10));
  EXPECT_TRUE(session->expire(now));
  const std::string text = out();
  EXPECT_TRUE(text.starts_with("HTTP/1.1 408")) << text;
  EXPECT_NE(text.find("all within 60 s"), text.npos) << text;
}

// What all requests hold together is bounded: those half read, those that wait for an answer, and
// what their decoders need. It comes back with each of them.
TEST_F(HttpSessionTest, BodiesShareOneBudget) {
  options.bodies_bytes_max = 1 << 20;
  const std::string body(300'000, 'b');
  open();
  const auto held = [&] { return sink->bodies().bytes_held(); };
  feed(post(std::string(2000, 's')));
  EXPECT_EQ(held(), 0u);  // small ones are free
  for (int i = 0; i < 3; ++i) feed(post(body));
  ASSERT_EQ(waiting.size(), 4u);
  EXPECT_GE(held(), 900'000u);
  EXPECT_LE(held(), 900'600u);  // not booked beyond what was declared
  feed(post(body));
  EXPECT_EQ(waiting.size(), 4u);
  for (int i = 0; i < 4; ++i) take()->respond({});
  std::string text = out();
  EXPECT_NE(text.find("HTTP/1.1 503"), text.npos);
  EXPECT_NE(text.find("Retry-After: 1\r\n"), text.npos);
  EXPECT_NE(text.find("Connection: close\r\n"), text.npos);
  EXPECT_TRUE(session->closing());
  EXPECT_EQ(held(), 0u);

  open();
  feed(post(body));
  ASSERT_EQ(waiting.size(), 1u);
  take()->respond({});
  EXPECT_EQ(held(), 0u);
  out();
  // A body that is cut off gives back what it had.
  feed(concat("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n", body));
  EXPECT_GE(held(), 300'000u);
  EXPECT_TRUE(session->expire(now));
  EXPECT_EQ(held(), 0u);
}

TEST_F(HttpSessionTest, FewCodedBytesAreChargedAsWhatTheyBecome) {
  options.bodies_bytes_max = 1 << 20;
  for (const Coding coding : {Coding::kGzip, Coding::kDeflate, Coding::kZstd, Coding::kBrotli}) {
    const std::string bomb = compress(coding, std::string(2 << 20, 'a')).value();
    ASSERT_LT(bomb.size(), 4000u);
    open();
    // The last chunk does not come: such a request would wait with all it has become.
    feed(concat("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Encoding: ",
                coding_name(coding), "\r\n\r\n", fmt::format("{:x}", bomb.size()), "\r\n", bomb,
                "\r\n"));
    EXPECT_TRUE(out().starts_with("HTTP/1.1 503")) << coding_name(coding);
    EXPECT_EQ(sink->bodies().bytes_held(), 0u);
    EXPECT_TRUE(waiting.empty());
  }
}

// Who is refused at the head anyhow is answered before the body comes, and not asked to send it.
TEST_F(HttpSessionTest, DoesNotReadBodiesNobodyWants) {
  options.wants_body = [](const HttpRequest& head) { return !head.header("x-key").empty(); };
  handler = [](std::shared_ptr<Exchange> exchange) {
    exchange->respond({.status = exchange->request().header("x-key").empty() ? 401 : 200,
                       .body = concat(exchange->request().body.size(), " bytes")});
  };
  const std::string body(20'000, 'x');
  for (const std::string& lines :
       {std::string("Content-Length: 20000\r\n"), std::string("Transfer-Encoding: chunked\r\n"),
        std::string("Content-Length: 20\r\nContent-Encoding: gzip\r\n"),
        std::string("Content-Length: 20000\r\nExpect: 100-continue\r\n")}) {
    shut();
    feed(concat("POST /p HTTP/1.1\r\nHost: h\r\n", lines, "\r\n"));
    std::string text = out();
    EXPECT_TRUE(text.starts_with("HTTP/1.1 401")) << lines << text;
    EXPECT_NE(text.find("Connection: close\r\n"), text.npos) << lines;
    EXPECT_TRUE(session->closing());
    feed(get("/smuggled"));
    EXPECT_EQ(out(), "");
  }
  shut();
  feed(post(body, "X-Key: k\r\n"));
  EXPECT_TRUE(out().ends_with("20000 bytes"));
  feed(post("small"));  // costs less than the connection
  const std::string text = out();
  EXPECT_TRUE(text.starts_with("HTTP/1.1 401"));
  EXPECT_EQ(text.find("Connection: close"), text.npos);
}

TEST_F(HttpSessionTest, ASilentBodyExpires) {
  options.body_bytes_per_second_min = 0;
  open();
  feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_EQ(session->deadline(), now + options.body_gap_timeout);
  advance(options.body_gap_timeout);
  EXPECT_TRUE(session->expire(now));
  EXPECT_TRUE(out().starts_with("HTTP/1.1 408"));
}

TEST_F(HttpSessionTest, ProbesWhenInputEndsWhileARequestWaits) {
  feed(get("/"));
  EXPECT_TRUE(session->input_ended(now));
  EXPECT_EQ(out(), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_FALSE(session->closing());
  take()->respond({.body = "still here"});
  const std::string text = out();
  EXPECT_NE(text.find("Connection: close\r\n"), text.npos);
  EXPECT_TRUE(text.ends_with("still here"));
  EXPECT_TRUE(session->closing());
}

TEST_F(HttpSessionTest, ProbesAStreamWithAZeroInFrontOfTheNextChunk) {
  feed(get("/"));
  auto stream = take();
  stream->start_stream({});
  stream->write("a");
  out();
  EXPECT_TRUE(session->input_ended(now));
  stream->write("b");
  stream->finish_stream();
  EXPECT_EQ(out(), "01\r\nb\r\n0\r\n\r\n");
}

TEST_F(HttpSessionTest, EndOfInputMeansGoneForOldOrIdleClients) {
  feed("GET / HTTP/1.0\r\n\r\n");
  EXPECT_FALSE(session->input_ended(now));
  open();
  EXPECT_FALSE(session->input_ended(now));
}

TEST_F(HttpSessionTest, EndOfInputInsideARequestIsAnError) {
  for (const char* text :
       {"GET / HT", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"}) {
    shut();
    feed(text);
    EXPECT_TRUE(session->input_ended(now));
    EXPECT_TRUE(out().starts_with("HTTP/1.1 400"));
    EXPECT_TRUE(session->closing());
  }
}

TEST_F(HttpSessionTest, SkipsEmptyLinesBeforeARequest) {
  feed("\r");
  feed("\n" + get("/a"));
  EXPECT_EQ(waiting.size(), 1u);
}

}  // namespace
}  // namespace sis::net
