// A session without a socket for tests: bytes in, bytes out, time turned by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "net/direct_sink.h"
#include "net/http_session.h"

namespace sis::net::testing {

class HttpSessionTest : public ::testing::Test {
 protected:
  HttpSessionTest() { options.compress_bytes_min = 64; }
  ~HttpSessionTest() override {
    if (sink) sink->session = nullptr;
  }

  void shut() {
    if (sink) sink->session = nullptr;
    waiting.clear();
    session.reset();
  }
  void open() {
    shut();
    sink = std::make_shared<DirectSink>(std::make_shared<const ServerOptions>(options));
    context = std::make_unique<SessionContext>(sink, &handler, 1);
    session = std::make_unique<HttpSession>(*context, 1, "10.0.0.1", now);
    sink->session = session.get();
    sink->now = now;
  }
  void feed(std::string_view bytes) {
    if (!session) open();
    while (!bytes.empty()) {
      const auto space = session->input_space();
      const size_t part = std::min(space.size(), bytes.size());
      std::copy_n(bytes.data(), part, space.data());
      session->input_filled(part);
      bytes.remove_prefix(part);
      session->pump(now);
    }
  }
  std::string out() {
    std::string text;
    iovec entries[16];
    while (!session->out().empty()) {
      const size_t count = session->out().gather(entries, 16);
      size_t bytes = 0;
      for (size_t i = 0; i < count; ++i) {
        text.append(static_cast<char*>(entries[i].iov_base), entries[i].iov_len);
        bytes += entries[i].iov_len;
      }
      session->out().consume(bytes);
    }
    session->output_waits(0);
    if (session->may_resume()) {
      session->pump(now);
      text += out();
    }
    return text;
  }
  std::shared_ptr<Exchange> take() {
    auto exchange = std::move(waiting.front());
    waiting.pop_front();
    return exchange;
  }
  static std::string get(std::string_view path, std::string_view lines = "") {
    return concat("GET ", path, " HTTP/1.1\r\nHost: h\r\n", lines, "\r\n");
  }
  static std::string post(std::string_view body, std::string_view lines = "") {
    return concat("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: ", body.size(), "\r\n", lines,
                  "\r\n", body);
  }
  void advance(Duration by) { sink->now = now += by; }

  ServerOptions options;
  TimePoint now{std::chrono::seconds(1000)};
  std::deque<std::shared_ptr<Exchange>> waiting;
  Handler handler = [this](std::shared_ptr<Exchange> exchange) {
    waiting.push_back(std::move(exchange));
  };
  std::shared_ptr<DirectSink> sink;
  std::unique_ptr<SessionContext> context;
  std::unique_ptr<HttpSession> session;
};

}  // namespace sis::net::testing
