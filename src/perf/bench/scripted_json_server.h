// A test server that answers JSON posts by a function, and keeps what it was asked.
#pragma once

#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "net/http_client_test_server.h"

namespace sis::perf {

struct Asked {
  std::string method, path, head;
  std::string body;  // as it came

  nlohmann::json json() const { return nlohmann::json::parse(body); }
};

class ScriptedJsonServer {
 public:
  // `answer` gives the whole bytes; net::plain_answer() makes them.
  explicit ScriptedJsonServer(std::function<std::string(const Asked&)> answer)
      : answer_(std::move(answer)), server_([this](net::ScriptedServer::Peer& peer) {
          for (std::string request; !(request = peer.read_request()).empty();) {
            Asked asked;
            const size_t head = request.find("\r\n\r\n");
            asked.head = request.substr(0, head);
            asked.body = request.substr(head + 4);
            const size_t path = request.find(' ') + 1;
            asked.method = request.substr(0, path - 1);
            asked.path = request.substr(path, request.find(' ', path) - path);
            {
              const std::lock_guard lock(mutex_);
              asked_.push_back(asked);
            }
            peer.send(answer_(asked));
          }
        }) {}

  std::string url() const { return server_.url(); }
  std::vector<Asked> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  std::function<std::string(const Asked&)> answer_;
  std::mutex mutex_;
  std::vector<Asked> asked_;
  net::ScriptedServer server_;  // last: its threads use the others
};

inline std::string event_stream(const std::string& events) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: " +
         std::to_string(events.size()) + "\r\n\r\n" + events;
}

}  // namespace sis::perf
