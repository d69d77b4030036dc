// The calls the tour makes: JSON in, JSON out, and a chat whose words appear as they come.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client_url.h"

namespace sis::apps {

// A server's text without what would steer the terminal; lines stay.
std::string shown(std::string_view text);

class DemoClient {
 public:
  explicit DemoClient(net::Url url) : url_(std::move(url)) {}
  const net::Url& url() const { return url_; }

  struct Reply {
    nlohmann::json body;
    Duration took{};
  };
  // Anything but a 200 with JSON is an error that says what came.
  Result<Reply> get(const std::string& path) const;
  Result<Reply> post(const std::string& path, const nlohmann::json& body) const;

  struct Streamed {
    std::string text;
    int64_t tokens = 0;
    double first_ms = 0, whole_ms = 0;  // from sending to the first piece, and to the end
  };
  // A streamed chat completion; writes each piece to stdout at once.
  Result<Streamed> stream_chat(const nlohmann::json& body) const;

 private:
  Result<Reply> call(const char* method, const std::string& path, std::string body) const;

  net::Url url_;
};

}  // namespace sis::apps
