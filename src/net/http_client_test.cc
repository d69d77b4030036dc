#include "net/http_client.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <future>
#include <span>

#include "base/strings.h"
#include "net/http_client_parser.h"
#include "net/http_client_test_server.h"

namespace sis::net {
namespace {

struct Parsed {
  int status = 0;
  std::string body, error;
  bool done = false, keep_alive = false;
  size_t left = 0;  // bytes behind the response
};

// Feeds `bytes` in pieces of `piece`, then the end of the stream if `close`.
Parsed parse(std::string_view bytes, size_t piece = std::string_view::npos, bool close = false,
             bool head = false) {
  HttpResponseParser parser({.head_bytes_max = 1024, .body_bytes_max = 4096});
  parser.begin({.head_request = head});
  Parsed out;
  size_t at = 0;
  while (at < bytes.size() && !parser.done()) {
    std::string_view rest = bytes.substr(at, piece);
    while (!rest.empty() && !parser.done()) {
      const auto step = parser.feed(rest);
      if (!step.ok()) {
        out.error = step.error().message;
        return out;
      }
      EXPECT_GT(step->consumed, 0u);
      out.body += step->body;
      rest.remove_prefix(step->consumed);
      at += step->consumed;
    }
  }
  if (close)
    if (Status status = parser.finish_at_close(); !status.ok()) out.error = status.error().message;
  out.status = parser.status();
  out.done = parser.done();
  out.keep_alive = parser.keep_alive();
  out.left = bytes.size() - at;
  return out;
}

// Whatever the sizes of the pieces, the result is the same.
TEST(HttpResponseParser, EveryFragmentationGivesTheSameAnswer) {
  const std::string length =
      "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH:  11 \r\nX-A: b\r\n\r\nhello world";
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;ext=1\r\nhello\r\n1\r\n "
      "\r\n05\r\nworld\r\n0\r\nX-T: 1\r\n\r\n";
  const std::string interim =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n" + length;
  for (const std::string& bytes : {length, chunked, interim}) {
    for (size_t piece = 1; piece <= bytes.size(); ++piece) {
      const Parsed got = parse(bytes, piece);
      ASSERT_EQ(got.error, "") << piece;
      ASSERT_TRUE(got.done) << piece;
      ASSERT_EQ(got.status, 200);
      ASSERT_EQ(got.body, "hello world") << "pieces of " << piece;
      ASSERT_TRUE(got.keep_alive);
      ASSERT_EQ(got.left, 0u);
    }
  }
}

TEST(HttpResponseParser, LeavesTheNextResponseAlone) {
  const std::string one = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  EXPECT_EQ(parse(one + one).left, one.size());
  EXPECT_EQ(parse("HTTP/1.1 204 No Content\r\n\r\n" + one).left, one.size());
  EXPECT_EQ(parse("HTTP/1.1 304 X\r\nContent-Length: 7\r\n\r\n" + one).left, one.size());
  // The answer to HEAD has a length but no body.
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" + one, std::string_view::npos,
                  false, true)
                .left,
            one.size());
}

TEST(HttpResponseParser, KeepAliveFollowsVersionAndHeader) {
  EXPECT_TRUE(parse("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").keep_alive);
  EXPECT_FALSE(
      parse("HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 0\r\n\r\n").keep_alive);
  EXPECT_FALSE(parse("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").keep_alive);
  EXPECT_TRUE(
      parse("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").keep_alive);
}

TEST(HttpResponseParser, BodyWithoutLengthEndsWithTheConnection) {
  const Parsed got = parse("HTTP/1.1 200\r\n\r\nall of it", 4, true);
  EXPECT_EQ(got.error, "");
  EXPECT_TRUE(got.done);
  EXPECT_EQ(got.body, "all of it");
  EXPECT_FALSE(got.keep_alive);
}

TEST(HttpResponseParser, SaysWhereTheConnectionBroke) {
  EXPECT_EQ(parse("", 1, true).error, "connection closed before any answer");
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nServ", 1, true).error,
            "connection closed inside the response head");
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd", 3, true).error,
            "connection closed after 4 of 9 body bytes");
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 3, true).error,
            "connection closed inside a chunked body after 2 bytes");
}

// Nonsense is an error with its reason, in one piece and byte by byte.
TEST(HttpResponseParser, RefusesNonsense) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::pair<std::string, std::string> cases[] = {
      {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not an HTTP/1.x response"},
      {"HTTP/2 200\r\n\r\n", "not an HTTP/1.x response"},
      {"HTTP/1.1 20 OK\r\n\r\n", "not an HTTP/1.x response"},
      {"HTTP/1.1 099 OK\r\n\r\n", "not an HTTP/1.x response"},
      {"HTTP/1.1 200OK\r\n\r\n", "not an HTTP/1.x response"},
      {ok + "Content-Length: -1\r\n\r\n", "Content-Length: want a number"},
      {ok + "Content-Length: 1e3\r\n\r\n", "Content-Length: want a number"},
      {ok + "Content-Length: 99999999999999999999\r\n\r\n", "Content-Length: want a number"},
      {ok + "Content-Length: 5000\r\n\r\n", "want at most 4096"},
      {ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "two different Content-Length"},
      {ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       "Content-Length and Transfer-Encoding"},
      {ok + "Transfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding: want chunked"},
      {ok + "no colon here\r\n\r\n", "header without a name"},
      {ok + "bad name: 1\r\n\r\n", "bad name"},
      {ok + "A: b\rc\r\n\r\n", "bare carriage return"},
      {ok + "A: " + std::string(2000, 'x') + "\r\n\r\n", "head over 1024 bytes"},
      {ok + std::string(2000, 'x'), "head over 1024 bytes"},
      {"HTTP/1.1 101 Switching\r\n\r\n", "101"},
      {ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk size"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello", "chunk size"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "chunk is longer"},
      {ok + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff1\r\n", "chunk size"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n" + std::string(5000, '0'), "too long"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n5\n", "CRLF"},
      {ok + "\r\n" + std::string(5000, 'x'), "response body over 4096 bytes"},
  };
  for (const auto& [bytes, want] : cases) {
    for (const size_t piece : {std::string_view::npos, size_t{1}, size_t{7}}) {
      const Parsed got = parse(bytes, piece);
      EXPECT_NE(got.error.find(want), std::string::npos)
          << bytes.substr(0, 80) << "\n got: " << got.error;
    }
  }
  std::string interims;
  for (int i = 0; i < 20; ++i) interims += "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_NE(parse(interims).error.find("too many interim"), std::string::npos);
}

TEST(Url, ReadsWhatPeopleWrite) {
  const auto check = [](std::string_view text, bool tls, std::string_view host, int port,
                        std::string_view target, std::string_view authority) {
    const auto url = parse_url(text);
    ASSERT_TRUE(url.ok()) << text << ": " << url.error().message;
    EXPECT_EQ(url->tls, tls) << text;
    EXPECT_EQ(url->host, host) << text;
    EXPECT_EQ(url->port, port) << text;
    EXPECT_EQ(url->target, target) << text;
    EXPECT_EQ(url->authority(), authority) << text;
  };
  check("http://localhost:8000", false, "localhost", 8000, "", "localhost:8000");
  check("HTTP://Example.com", false, "Example.com", 80, "", "Example.com");
  check("https://10.0.0.1/v1?a=b", true, "10.0.0.1", 443, "/v1?a=b", "10.0.0.1");
  check("https://[::1]:8443/", true, "::1", 8443, "/", "[::1]:8443");
  check("http://my_service:80?x", false, "my_service", 80, "/?x", "my_service");
}

TEST(Url, RefusesWhatMustNotBecomeARequest) {
  const std::pair<std::string, std::string> cases[] = {
      {"localhost:8000", "http://host"},
      {"ftp://a", "want http or https"},
      {"http://", "host is missing"},
      {"http://a b", "printable ASCII"},
      {"http://a\r\nX: y", "printable ASCII"},
      {"http://user:pw@a", "user names"},
      {"http://a:0", "want 1..65535"},
      {"http://a:65536", "want 1..65535"},
      {"http://a:", "want 1..65535"},
      {"http://a:80x", "want 1..65535"},
      {"http://300.1.1.1", "no IPv4"},
      {"http://[::1", "']'"},
      {"http://[fe80::zz]", "no IPv6"},
      {"http://-a.com", "no host name"},
      {"http://a..b", "no host name"},
      {"http://a/#x", "fragment"},
      {"http://" + std::string(3000, 'a'), "at most 2048"},
      {"http://a%41.com", "no host name"},
      {"http://[::1]x", "':port'"},
  };
  for (const auto& [text, want] : cases) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_NE(url.error().message.find(want), std::string::npos) << url.error().message;
  }
}

// Errors are printed and logged: a password must not be in them, wherever the URL is wrong.
TEST(Url, ErrorsShowNoPassword) {
  for (const char* text : {"http://user:s3cret@host", "http://:s3cret@host:1/x", "user:s3cret@host",
                           "http://a b@s3cret", "s3cret@x://host", "ftp://user:s3cret@host",
                           "http://host#user:s3cret@"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_EQ(url.error().message.find("s3cret"), std::string::npos) << url.error().message;
  }
}

TEST(Url, JoinsPathsOnce) {
  EXPECT_EQ(join_target(*parse_url("http://a"), "/v1/models"), "/v1/models");
  EXPECT_EQ(join_target(*parse_url("http://a/"), "/v1/models"), "/v1/models");
  EXPECT_EQ(join_target(*parse_url("http://a/x/?q"), "/v1/models"), "/x/v1/models");
}

TEST(RequestBytes, RefusesInjection) {
  const Url url = *parse_url("http://a");
  EXPECT_TRUE(request_bytes(url, {.headers = {{"X-A", "b c"}}}).ok());
  EXPECT_FALSE(request_bytes(url, {.headers = {{"X-A", "b\r\nX-B: c"}}}).ok());
  EXPECT_FALSE(request_bytes(url, {.headers = {{"X A", "b"}}}).ok());
  EXPECT_FALSE(request_bytes(url, {.headers = {{"Content-Length", "5"}}}).ok());
  EXPECT_FALSE(request_bytes(url, {.method = "GET /x"}).ok());
  EXPECT_FALSE(request_bytes(url, {.target = "/a b"}).ok());
  EXPECT_EQ(*request_bytes(url, {.method = "POST", .target = "/p", .body = "hi"}),
            "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
}

TEST(Fetch, ReadsAFragmentedChunkedAnswer) {
  ScriptedServer server([](ScriptedServer::Peer& peer) {
    const std::string request = peer.read_request();
    const std::string body = request.starts_with("GET /v1/models HTTP/1.1\r\n") ? "right" : "wrong";
    peer.send_slowly(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + body + "\r\n0\r\n\r\n", 3,
        std::chrono::microseconds(100));
  });
  const auto response = fetch(*parse_url(server.url()), {.target = "/v1/models"});
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "right");
}

// A listener that takes nobody: its queue is full.
class FullListener {
 public:
  FullListener() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address_;
    bind(listener_, reinterpret_cast<sockaddr*>(&address_), length);
    listen(listener_, 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &length);
    for (int i = 0; i < 20 && !full_; ++i) full_ = !takes_one();
  }
  ~FullListener() {
    for (const int fd : waiting_) close(fd);
    close(listener_);
  }
  bool full() const { return full_; }
  Endpoint endpoint() const {
    Endpoint endpoint;
    std::memcpy(&endpoint.address, &address_, sizeof address_);
    endpoint.length = sizeof address_;
    return endpoint;
  }

 private:
  bool takes_one() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    waiting_.push_back(fd);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address_), sizeof address_) == 0) return true;
    pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
    return poll(&entry, 1, 200) == 1;
  }

  int listener_ = -1;
  bool full_ = false;
  sockaddr_in address_{};
  std::vector<int> waiting_;
};

// A name whose first address does not answer is reached by its second one.
TEST(FindEndpoint, AnAddressThatHangsLeavesTimeToTheNext) {
  FullListener hanging;
  ASSERT_TRUE(hanging.full());
  ScriptedServer server([](ScriptedServer::Peer& peer) { peer.wait_for_close(); });
  const Url url = *parse_url(server.url());
  const std::vector<Endpoint> endpoints = {hanging.endpoint(), resolve(url)->front()};
  auto found = find_endpoint(url, endpoints, nullptr, from_seconds(3));
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->text(), endpoints[1].text());
  found = find_endpoint(url, std::span(endpoints).first(1), nullptr, from_ms(100));
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, Code::kDeadline);
  EXPECT_NE(found.error().message.find("no answer within 0.1 s"), std::string::npos)
      << found.error().message;
}

// Both are never destroyed: nobody waits for the thread of a late lookup, not even the test's end.
std::promise<void>& late_lookup_may_end = *new std::promise<void>;
const std::shared_future<void>& late_lookup_end =
    *new std::shared_future<void>(late_lookup_may_end.get_future());

// A resolver that does not answer, instead of the C library's (see getaddrinfo below).
TEST(Fetch, TheDeadlineHoldsForTheLookupToo) {
  const auto began = std::chrono::steady_clock::now();
  const auto response = fetch(*parse_url("http://late.test/"), {.timeout = from_ms(100)});
  const auto took = std::chrono::steady_clock::now() - began;
  late_lookup_may_end.set_value();
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, Code::kDeadline) << response.error().message;
  EXPECT_LT(took, std::chrono::seconds(10));
}

TEST(Fetch, TellsWhatWentWrong) {
  uint16_t closed_port;
  {
    ScriptedServer server([](ScriptedServer::Peer&) {});
    closed_port = server.port();
  }
  auto response = fetch(*parse_url(concat("http://127.0.0.1:", closed_port)), {});
  ASSERT_FALSE(response.ok());
  EXPECT_NE(response.error().message.find("Connection refused"), std::string::npos)
      << response.error().message;

  ScriptedServer silent([](ScriptedServer::Peer& peer) { peer.wait_for_close(); });
  response = fetch(*parse_url(silent.url()), {.timeout = from_ms(100)});
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, Code::kDeadline);

  // Bytes that keep coming do not move the deadline.
  ScriptedServer trickle([](ScriptedServer::Peer& peer) {
    peer.read_request();
    peer.send("HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 500 && peer.send("x"); ++i) peer.wait(std::chrono::milliseconds(10));
  });
  response = fetch(*parse_url(trickle.url()), {.timeout = from_ms(150)});
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, Code::kDeadline);

  ScriptedServer garbage([](ScriptedServer::Peer& peer) {
    peer.read_request();
    peer.send("220 mail.example ESMTP\r\n");
    peer.wait_for_close();
  });
  response = fetch(*parse_url(garbage.url()), {});
  ASSERT_FALSE(response.ok());
  EXPECT_NE(response.error().message.find("not an HTTP/1.x response"), std::string::npos);

  // A plain server where TLS was expected.
  ScriptedServer plain([](ScriptedServer::Peer& peer) {
    peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    peer.wait_for_close();
  });
  response =
      fetch(*parse_url(concat("https://127.0.0.1:", plain.port())), {.timeout = from_seconds(5)});
  ASSERT_FALSE(response.ok());
  EXPECT_NE(response.error().message.find("TLS handshake"), std::string::npos)
      << response.error().message;
}

}  // namespace

// For 30 s at most, should the test that ends it be broken.
void wait_for_late_lookup() {
  const std::shared_future<void> mine = late_lookup_end;  // each thread waits on its own
  mine.wait_for(std::chrono::seconds(30));
}

}  // namespace sis::net

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** list) {
  if (node != nullptr && std::string_view(node) == "late.test") {
    sis::net::wait_for_late_lookup();
    return EAI_AGAIN;
  }
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto original = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return original(node, service, hints, list);
}
