#include "serve/server/router.h"

#include <gtest/gtest.h>

namespace sis::server {
namespace {

class FakeExchange final : public net::Exchange {
 public:
  FakeExchange(std::string method, std::string path, std::string query = "") {
    request_.method = std::move(method);
    request_.path = std::move(path);
    request_.query = std::move(query);
  }
  net::HttpRequest& request() override { return request_; }
  void respond(net::HttpResponse response) override { answer = std::move(response); }
  void start_stream(net::HttpResponse) override {}
  bool write(std::string_view) override { return false; }
  void finish_stream() override {}
  void on_cancel(std::function<void()>) override {}
  bool cancelled() const override { return false; }
  void run_on_loop(std::function<void()> call) override { call(); }
  std::string header(const std::string& name) const {
    for (const auto& [key, value] : answer.headers)
      if (key == name) return value;
    return "";
  }
  net::HttpResponse answer{.status = 0};

 private:
  net::HttpRequest request_;
};

TEST(Router, FindsRedirectsAndRefuses) {
  Router router;
  const auto says = [](const char* word) {
    return [word](std::shared_ptr<net::Exchange> exchange) { exchange->respond({.body = word}); };
  };
  router.add("GET", "/", says("root"));
  router.add("GET", "/v1/models", says("list"));
  router.add("GET", "/v1/models/*", says("one"));
  router.add("POST", "/v1/embeddings", says("embed"));
  const auto ask = [&](std::string method, std::string path, std::string query = "") {
    auto exchange = std::make_shared<FakeExchange>(method, path, query);
    router.handle(exchange);
    return exchange;
  };
  EXPECT_EQ(ask("GET", "/")->answer.body, "root");
  EXPECT_EQ(ask("GET", "/v1/models")->answer.body, "list");
  EXPECT_EQ(ask("GET", "/v1/models/BAAI/bge-m3")->answer.body, "one");
  EXPECT_EQ(ask("GET", "/nope")->answer.status, 404);
  EXPECT_EQ(ask("GET", "")->answer.status, 404);
  const auto wrong = ask("GET", "/v1/embeddings");
  EXPECT_EQ(wrong->answer.status, 405);
  EXPECT_EQ(wrong->header("Allow"), "POST");
  const auto slash = ask("POST", "/v1/embeddings/", "a=b");
  EXPECT_EQ(slash->answer.status, 307);
  EXPECT_EQ(slash->header("Location"), "/v1/embeddings?a=b");
  EXPECT_EQ(ask("GET", "/nope/")->answer.status, 404);
  EXPECT_EQ(ask("GET", "/v1/models/a b\r\nX: \xC3\xA9?#%/")->header("Location"),
            "/v1/models/a%20b%0D%0AX:%20%C3%A9%3F%23%25");
}

}  // namespace
}  // namespace sis::server
