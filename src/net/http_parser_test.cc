#include "net/http_parser.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sis::net {
namespace {

struct Parsed {
  HttpRequest request;
  RequestHead head;
  std::optional<Refusal> refusal;
};

Parsed parse(std::string_view text) {
  Parsed parsed;
  parsed.refusal = parse_request_head(text, parsed.request, parsed.head);
  return parsed;
}

std::string with_header(std::string_view lines) {
  return concat("POST / HTTP/1.1\r\nHost: h\r\n", lines, "\r\n\r\n");
}

TEST(HttpParser, ReadsARequest) {
  const auto p = parse(
      "POST /v1/a%20b?x=%20&y HTTP/1.1\r\nHost: h:1\r\nContent-Length:  12\t\r\nX-Empty:\r\n"
      "x-request-id: abc\r\nAccept-Encoding: gzip\r\nContent-Encoding: zstd\r\n\r\n");
  ASSERT_FALSE(p.refusal) << p.refusal->message;
  EXPECT_EQ(p.request.method, "POST");
  EXPECT_EQ(p.request.path, "/v1/a b");
  EXPECT_EQ(p.request.query, "x=%20&y");
  EXPECT_EQ(p.request.header("CONTENT-length"), "12");
  EXPECT_EQ(p.request.header("x-empty"), "");
  EXPECT_EQ(p.request.headers.size(), 6u);
  EXPECT_EQ(p.request.request_id, "abc");
  EXPECT_EQ(p.head.content_length, 12);
  EXPECT_EQ(p.head.accepted, Coding::kGzip);
  EXPECT_EQ(p.head.body_coding, Coding::kZstd);
  EXPECT_TRUE(p.head.keep_alive);
}

TEST(HttpParser, ReadsTheFormsOfTargets) {
  EXPECT_EQ(parse("GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n").request.path, "/a");
  EXPECT_EQ(parse("GET http://h?b HTTP/1.1\r\nHost: h\r\n\r\n").request.query, "b");
  EXPECT_EQ(parse("GET HTTPS://h HTTP/1.1\r\nHost: h\r\n\r\n").request.path, "/");
  EXPECT_TRUE(parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").head.asterisk);
  EXPECT_TRUE(parse("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").request.head);
  EXPECT_EQ(parse("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").request.method, "GET");
}

TEST(HttpParser, KnowsWhetherTheConnectionIsKept) {
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").head.keep_alive);
  EXPECT_FALSE(parse(with_header("Connection: foo, Close")).head.keep_alive);
}

TEST(HttpParser, RefusesWhatCouldBeReadInTwoWays) {
  const std::string cases[] = {
      with_header("Content-Length: 5\r\nTransfer-Encoding: chunked"),
      with_header("Transfer-Encoding: chunked\r\nContent-Length: 5"),
      with_header("Content-Length: 5\r\nContent-Length: 5"),
      with_header("Content-Length: 5\r\nContent-Length: 6"),
      with_header("Content-Length: 5, 5"),
      with_header("Content-Length: +5"),
      with_header("Content-Length: -5"),
      with_header("Content-Length: 0x5"),
      with_header("Content-Length: 5 5"),
      with_header("Content-Length:"),
      with_header("Transfer-Encoding: gzip, chunked"),
      with_header("Transfer-Encoding: chunked, identity"),
      with_header("Transfer-Encoding: xchunked"),
      with_header("Transfer-Encoding: \"chunked\""),
      with_header("Transfer-Encoding:\x0b"
                  "chunked"),
      with_header("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
      with_header("Transfer-Encoding : chunked"),
      with_header("A: b\r\n folded"),
      with_header("A: b\r\n\tfolded"),
      with_header(": empty name"),
      with_header("no colon"),
      with_header("A B: c"),
      with_header("A: b\rc"),
      with_header(std::string_view("A: b\0c", 6)),
      with_header("A: b\nC: d"),
      with_header("Host: other"),
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
      "GET /\r\nHost: h\r\n\r\n",
      "GET / http/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/11\r\nHost: h\r\n\r\n",
      "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /\xC3\xA4 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET a HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
      "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
      concat(std::string(33, 'A'), " / HTTP/1.1\r\nHost: h\r\n\r\n"),
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
  };
  for (const auto& text : cases) {
    const auto p = parse(text);
    ASSERT_TRUE(p.refusal) << text;
    EXPECT_EQ(p.refusal->status, 400) << text;
    EXPECT_FALSE(p.refusal->message.empty());
  }
}

TEST(HttpParser, RefusesOtherVersionsAndTooManyHeaders) {
  EXPECT_EQ(parse("PRI * HTTP/2.0\r\n\r\n").refusal->status, 505);
  EXPECT_FALSE(parse("GET / HTTP/1.2\r\nHost: h\r\n\r\n").refusal);
  std::string lines = "Host: h";
  for (size_t i = 1; i < kHeadersMax; ++i) lines += concat("\r\nA", i, ": b");
  EXPECT_FALSE(parse(concat("GET / HTTP/1.1\r\n", lines, "\r\n\r\n")).refusal);
  EXPECT_EQ(parse(concat("GET / HTTP/1.1\r\n", lines, "\r\nB: c\r\n\r\n")).refusal->status, 431);
}

TEST(HttpParser, MarksLengthsBeyondSixtyThreeBitsAsHuge) {
  EXPECT_EQ(parse(with_header("Content-Length: 99999999999999999999")).head.content_length,
            INT64_MAX);
}

TEST(HttpParser, FindsTheEndOfTheHeadHoweverItArrives) {
  const std::string text = "GET / HTTP/1.1\r\nHost: h\r\n\r\nbody";
  size_t scanned = 0;
  for (size_t bytes = 1; bytes < text.size() - 4; ++bytes) {
    const auto scan = scan_head(text.substr(0, bytes), scanned);
    EXPECT_EQ(scan.head_bytes, 0u);
    EXPECT_FALSE(scan.hopeless);
  }
  EXPECT_EQ(scan_head(text, scanned).head_bytes, text.size() - 4);
  for (const char* bad : {"GET / HTTP/1.1\n", "\n", " GET", "\x16\x03\x01"}) {
    scanned = 0;
    EXPECT_TRUE(scan_head(bad, scanned).hopeless) << bad;
  }
}

struct Chunked {
  std::string body;
  ChunkDecoder::State state = ChunkDecoder::State::kMore;
  size_t consumed = 0;
};

Chunked decode(std::string_view in, size_t piece) {
  ChunkDecoder decoder;
  Chunked out;
  while (out.consumed < in.size() && out.state == ChunkDecoder::State::kMore) {
    const auto step = decoder.next(in.substr(out.consumed, piece));
    out.body += step.payload;
    out.consumed += step.consumed;
    out.state = step.state;
  }
  return out;
}

TEST(ChunkDecoder, ReadsChunksHoweverTheyAreCut) {
  const std::string text =
      "5;ext=\"a;b\"\r\nhello\r\n0001\r\n \r\nA\r\n0123456789\r\n00\r\nTrailer: x\r\nB: "
      "y\r\n\r\nnext";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    const auto out = decode(text, piece);
    EXPECT_EQ(out.state, ChunkDecoder::State::kDone) << piece;
    EXPECT_EQ(out.body, "hello 0123456789");
    EXPECT_EQ(out.consumed, text.size() - 4);
  }
}

TEST(ChunkDecoder, RefusesWhatIsNotAChunk) {
  const std::string cases[] = {
      "\r\n",
      "x\r\n",
      " 5\r\n",
      "-5\r\n",
      "+5\r\n",
      "0x5\r\n",
      "5\n",
      "5\rx",
      "G\r\n",
      "1234567890abcdef\r\n",
      "5\r\nhelloX",
      "5\r\nhello\rX",
      "5\r\nhello\n",
      "5;\x01\r\n",
      concat("5;", std::string(2000, 'e'), "\r\n"),
      "0\r\n folded\r\n\r\n",
      "0\r\nA: \x01\r\n\r\n",
      "0\r\nA\nB\r\n\r\n",
      "0\r\n\rX",
      concat("0\r\nA: ", std::string(9000, 't'), "\r\n\r\n"),
  };
  for (const auto& text : cases)
    for (const size_t piece : {size_t{1}, text.size()})
      EXPECT_EQ(decode(text, piece).state, ChunkDecoder::State::kBad) << text.substr(0, 40);
}

}  // namespace
}  // namespace sis::net
