// The answers of one connection without a socket: order, framing, streams, cancellation.
#include "net/compression.h"
#include "net/decompress_whole.h"
#include "net/http_session_fixture.h"

namespace sis::net {
namespace {

using testing::decompress;

class HttpSessionAnswersTest : public testing::HttpSessionTest {};

size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++found;
  return found;
}

TEST_F(HttpSessionAnswersTest, KeepsPipelinedAnswersInOrder) {
  std::string text;
  for (int i = 0; i < 5; ++i) text += get(concat("/", i));
  feed(text);
  ASSERT_EQ(waiting.size(), 5u);
  std::string answers;
  for (const int i : {3, 1, 4, 0, 2}) {
    waiting[i]->respond({.body = concat("answer", i)});
    answers += out();
  }
  size_t at = 0;
  for (int i = 0; i < 5; ++i) {
    const size_t found = answers.find(concat("answer", i));
    ASSERT_NE(found, answers.npos);
    EXPECT_GE(found, at);
    at = found;
  }
}

TEST_F(HttpSessionAnswersTest, HoldsStreamsAndRefusalsBackUntilTheirTurn) {
  feed(get("/first") + get("/stream") + get("/third") + "BAD\r\n\r\n");
  ASSERT_EQ(waiting.size(), 3u);
  waiting[1]->start_stream({.content_type = "text/event-stream"});
  EXPECT_TRUE(waiting[1]->write("one"));
  waiting[2]->respond({.body = "third"});
  EXPECT_EQ(out(), "");
  waiting[0]->respond({.body = "first"});
  std::string text = out();
  EXPECT_LT(text.find("first"), text.find("3\r\none\r\n"));
  EXPECT_EQ(text.find("third"), text.npos);
  EXPECT_TRUE(waiting[1]->write("four"));
  EXPECT_EQ(out(), "4\r\nfour\r\n");
  waiting[1]->finish_stream();
  text = out();
  EXPECT_TRUE(text.starts_with("0\r\n\r\nHTTP/1.1 200 OK"));
  EXPECT_LT(text.find("third"), text.find("HTTP/1.1 400"));
  EXPECT_NE(text.find("Connection: close"), text.npos);
  EXPECT_TRUE(session->closing());
}

TEST_F(HttpSessionAnswersTest, StopsReadingWhenTooMuchIsUnanswered) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += get(concat("/", i));
  feed(text);
  EXPECT_EQ(waiting.size(), 64u);
  feed(std::string(70'000, 'x').replace(0, 0, get("/more")));
  EXPECT_FALSE(session->wants_input());
  while (waiting.size() > 0) {
    take()->respond({});
    out();
    session->pump(now);
  }
  EXPECT_EQ(context->requests.load(), 101);
  EXPECT_TRUE(session->wants_input());
}

TEST_F(HttpSessionAnswersTest, AnswersHeadWithoutABody) {
  feed("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(waiting.front()->request().head);
  take()->respond({.body = "12345"});
  std::string text = out();
  EXPECT_NE(text.find("Content-Length: 5\r\n"), text.npos);
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
  feed("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n" + get("/next"));
  waiting[0]->start_stream({});
  EXPECT_FALSE(waiting[0]->write("data"));
  waiting[1]->respond({.body = "next"});
  text = out();
  EXPECT_EQ(text.find("data"), text.npos);
  EXPECT_TRUE(text.ends_with("next"));
}

TEST_F(HttpSessionAnswersTest, AnswersOldClientsInTheirOwnWay) {
  feed("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  take()->respond({.body = "a"});
  EXPECT_NE(out().find("Connection: keep-alive\r\n"), std::string::npos);
  feed("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  auto stream = take();
  stream->start_stream({});
  stream->write("raw");
  stream->finish_stream();
  const std::string text = out();
  EXPECT_EQ(text.find("chunked"), text.npos);
  EXPECT_NE(text.find("Connection: close\r\n"), text.npos);
  EXPECT_TRUE(text.ends_with("\r\n\r\nraw"));
  EXPECT_TRUE(session->closing());
}

TEST_F(HttpSessionAnswersTest, DroppedExchangesAnswer500OrCutTheStream) {
  feed(get("/a") + get("/b"));
  waiting.clear();
  std::string text = out();
  EXPECT_EQ(count(text, "HTTP/1.1 500"), 2u) << text;
  EXPECT_FALSE(session->closing());
  feed(get("/c"));
  waiting.front()->start_stream({});
  waiting.front()->write("x");
  EXPECT_FALSE(session->broken());
  waiting.clear();
  EXPECT_TRUE(session->broken());
}

// Of a stream that waits for its turn pieces were refused; that its producer finished it all the
// same must not make it look whole.
TEST_F(HttpSessionAnswersTest, AHeldStreamThatLostBytesIsCut) {
  options.stream_buffer_bytes = 1000;
  open();
  feed(get("/first") + get("/stream"));
  waiting[1]->start_stream({});
  EXPECT_TRUE(waiting[1]->write(std::string(1500, 'a')));
  EXPECT_FALSE(waiting[1]->write("lost"));
  waiting[1]->finish_stream();
  waiting[0]->respond({.body = "first"});
  EXPECT_EQ(out().find("0\r\n\r\n"), std::string::npos);
  EXPECT_TRUE(session->broken());
}

TEST_F(HttpSessionAnswersTest, AThrowingHandlerAnswers500) {
  handler = [](std::shared_ptr<Exchange>) { throw std::runtime_error("bug"); };
  feed(get("/"));
  EXPECT_TRUE(out().starts_with("HTTP/1.1 500"));
}

TEST_F(HttpSessionAnswersTest, OnlyTheFirstAnswerCounts) {
  feed(get("/"));
  auto exchange = take();
  exchange->respond({.body = "one"});
  exchange->respond({.body = "two"});
  exchange->start_stream({});
  EXPECT_FALSE(exchange->write("three"));
  EXPECT_TRUE(out().ends_with("one"));
}

TEST_F(HttpSessionAnswersTest, AnswerHeadersCannotBreakTheHead) {
  feed(get("/"));
  take()->respond({.headers = {{"X-Good", "1"},
                               {"X-Bad", "a\r\nX-Evil: 1"},
                               {"X Bad", "2"},
                               {"Content-Length", "999"},
                               {"Transfer-Encoding", "chunked"}},
                   .body = "b"});
  const std::string text = out();
  EXPECT_NE(text.find("X-Good: 1\r\n"), text.npos);
  for (const char* bad : {"Evil", "X-Bad", "X Bad", "999", "chunked"})
    EXPECT_EQ(text.find(bad), text.npos) << bad;
}

TEST_F(HttpSessionAnswersTest, CompressesWhatTheClientAccepts) {
  const std::string body(5000, 'j');
  for (const Coding coding : {Coding::kGzip, Coding::kZstd, Coding::kBrotli}) {
    feed(get("/", concat("Accept-Encoding: ", coding_name(coding), "\r\n")));
    take()->respond({.body = body});
    const std::string text = out();
    EXPECT_NE(text.find(concat("Content-Encoding: ", coding_name(coding), "\r\n")), text.npos);
    EXPECT_NE(text.find("Vary: Accept-Encoding\r\n"), text.npos);
    EXPECT_EQ(decompress(coding, text.substr(text.find("\r\n\r\n") + 4), 1 << 20).value(), body);
  }
  const auto plain = [&](HttpResponse response, std::string_view lines) {
    feed(get("/", lines));
    take()->respond(std::move(response));
    return out().find("Content-Encoding") == std::string::npos;
  };
  EXPECT_TRUE(plain({.body = body}, ""));
  EXPECT_TRUE(plain({.body = body}, "Accept-Encoding: gzip;q=0\r\n"));
  EXPECT_TRUE(plain({.body = "short"}, "Accept-Encoding: gzip\r\n"));
  EXPECT_TRUE(plain({.body = body, .compressible = false}, "Accept-Encoding: gzip\r\n"));
  EXPECT_TRUE(plain({.content_type = "image/png", .body = body}, "Accept-Encoding: gzip\r\n"));
}

TEST_F(HttpSessionAnswersTest, DisconnectRunsTheCallbackOnce) {
  feed(get("/a") + get("/b") + get("/c"));
  int cancelled = 0;
  waiting[0]->on_cancel([&] { ++cancelled; });
  waiting[1]->on_cancel([&] { cancelled += 100; });
  waiting[1]->respond({});  // answered: no longer anybody's loss
  sink->session = nullptr;
  session->cancel_all();
  EXPECT_EQ(cancelled, 1);
  EXPECT_TRUE(waiting[0]->cancelled());
  waiting[2]->on_cancel([&] { cancelled += 10; });  // too late to wait: at once
  EXPECT_EQ(cancelled, 11);
  EXPECT_FALSE(waiting[2]->write("x"));
}

TEST_F(HttpSessionAnswersTest, AReaderTooSlowForAStreamIsCut) {
  options.stream_buffer_bytes = 1000;
  open();
  feed(get("/"));
  auto stream = take();
  stream->start_stream({});
  int writes = 0;
  while (stream->write(std::string(100, 's')) && writes < 1000) ++writes;
  EXPECT_GE(writes, 10);
  EXPECT_LE(writes, 11);
  EXPECT_TRUE(session->broken());
}

TEST_F(HttpSessionAnswersTest, AReaderThatKeepsUpGetsAnEndlessStream) {
  options.stream_buffer_bytes = 1000;
  open();
  feed(get("/"));
  auto stream = take();
  stream->start_stream({});
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(stream->write(std::string(100, 's'))) << i;
    out();
  }
  EXPECT_FALSE(session->broken());
}

class NotedCompanion final : public Companion {
 public:
  explicit NotedCompanion(std::string& notes) : notes_(notes) {}
  ~NotedCompanion() override { notes_ += "gone "; }
  void on_head(HttpResponse& head) override {
    notes_ += concat("head ", head.status, " ");
    head.headers.emplace_back("x-with", "companion");
  }
  void on_end() override { notes_ += "end "; }

 private:
  std::string& notes_;
};

// A request's companion sees the head and the end of its answer once, whole or streamed, and goes
// with the request; of an answer that never came only that.
TEST_F(HttpSessionAnswersTest, ACompanionGoesWithTheRequest) {
  std::string notes;
  const auto next = [&](const char* path) {
    feed(get(path));
    auto exchange = take();
    exchange->request().companion = std::make_shared<NotedCompanion>(notes);
    notes.clear();
    return exchange;
  };
  auto whole = next("/whole");
  whole->respond({.status = 404});
  whole->respond({});
  EXPECT_EQ(notes, "head 404 end ");
  EXPECT_EQ(count(out(), "x-with: companion\r\n"), 1u);
  whole.reset();
  EXPECT_EQ(notes, "head 404 end gone ");
  auto stream = next("/stream");
  stream->start_stream({});
  EXPECT_EQ(count(out(), "x-with: companion\r\n"), 1u);
  stream->write("x");
  EXPECT_EQ(notes, "head 200 ");
  stream->finish_stream();
  stream->finish_stream();
  EXPECT_EQ(notes, "head 200 end ");
  stream.reset();
  next("/dropped").reset();
  EXPECT_EQ(notes, "gone ");
}

TEST_F(HttpSessionAnswersTest, WhileDrainingTheLastAnswerCloses) {
  feed(get("/a") + get("/b"));
  context->draining = true;
  waiting[0]->respond({});
  EXPECT_EQ(out().find("Connection: close"), std::string::npos);
  waiting[1]->respond({});
  EXPECT_NE(out().find("Connection: close"), std::string::npos);
  EXPECT_TRUE(session->closing());
}

}  // namespace
}  // namespace sis::net
